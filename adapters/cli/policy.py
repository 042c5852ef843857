"""`cowork policy …`: the rules that decide: read, checked, explained, compared, tried, and what was said about them."""

from typing import Final

from cyclopts import App

_HELP: Final = """Read, write and change the rules that decide about every action.

To read what is in force: show, who-can, explain. To write: check, lint, test, prove. To change: diff, backtest,
tighten. What a person has said for a while: approvals, trust, distrust, trusted. For programs: evaluate."""

app = App(name="policy", help=_HELP)

# Each subcommand is imported when it is used, like the command groups themselves.
_COMMANDS: Final = {
    "show": ("policy_show:show", "Show the layers that are in force on this machine."),
    "who-can": ("policy_prove:who_can", "Show which rules let an action through, each with a request."),
    "explain": ("policy_explain:explain", "Explain a decision, now or at a position of the log."),
    "check": ("policy_check:check", "Read policy files and name every mistake with its line."),
    "lint": ("policy_lint:lint", "Find rules that never decide, or decide other than they seem to."),
    "test": ("policy_test:run_cases", "Run case files, and say which rules they do not reach."),
    "prove": ("policy_prove:prove", "Prove that a policy never allows something, or show a request."),
    "diff": ("policy_diff:diff", "Show what another policy would allow, ask and deny instead."),
    "backtest": ("policy_backtest:backtest", "Decide again, under other rules, what is on record."),
    "tighten": ("policy_tighten:tighten", "Propose the least that recorded history needed."),
    "evaluate": ("policy_evaluate:evaluate", "Answer JSON lines from standard input, for programs."),
    "approvals": ("policy_approvals:app", "List and revoke remembered approvals."),
    "trust": ("policy_trust:trust", "Let a folder's own policy file speak."),
    "distrust": ("policy_trust:distrust", "Read a folder's own policy file no longer."),
    "trusted": ("policy_trust:trusted", "List the folders whose policy file is read."),
}
for _name, (_place, _help) in _COMMANDS.items():
    app.command(f"{__package__}.{_place}", name=_name, help=_help)
