"""`cowork policy …`: the rules that decide: read, checked, explained, compared, tried, and what was said about them."""

from typing import Final

from cyclopts import App

_HELP: Final = """Read, write and change the rules that decide about every action.

To read what is in force: show, who-can, explain.

To write rules: check (every mistake with its line), lint (rules that never decide), test (case files), prove.

To change rules: diff (what becomes allowed, asked, denied), backtest (on what is on record), tighten (what it needed).

What a person has said for a while: approvals, trust, distrust, trusted.

For programs: evaluate."""

app = App(name="policy", help=_HELP)

# Each subcommand is imported when it is used, like the command groups themselves.
_COMMANDS: Final = {
    "show": "policy_show:show",
    "who-can": "policy_prove:who_can",
    "explain": "policy_explain:explain",
    "check": "policy_check:check",
    "lint": "policy_lint:lint",
    "test": "policy_test:run_cases",
    "prove": "policy_prove:prove",
    "diff": "policy_diff:diff",
    "backtest": "policy_backtest:backtest",
    "tighten": "policy_tighten:tighten",
    "evaluate": "policy_evaluate:evaluate",
    "approvals": "policy_approvals:app",
    "trust": "policy_trust:trust",
    "distrust": "policy_trust:distrust",
    "trusted": "policy_trust:trusted",
}
for _name, _place in _COMMANDS.items():
    app.command(f"{__package__}.{_place}", name=_name)
