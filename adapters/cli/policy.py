"""`cowork policy …`: the rules that decide: read, checked, explained, compared, tried, and what was said about them."""

from typing import Final

from cyclopts import App

app = App(name="policy", help="Read, check, explain, compare and try the rules, and list what was approved for good.")

# Each subcommand is imported when it is used, like the command groups themselves.
_COMMANDS: Final = {
    "check": "policy_check:check",
    "test": "policy_test:run_cases",
    "evaluate": "policy_evaluate:evaluate",
    "approvals": "policy_approvals:app",
    "trust": "policy_trust:trust",
    "distrust": "policy_trust:distrust",
    "trusted": "policy_trust:trusted",
}
for _name, _place in _COMMANDS.items():
    app.command(f"{__package__}.{_place}", name=_name)
