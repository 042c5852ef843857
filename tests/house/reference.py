"""The mechanical part of the reference, made from the code: `python -m tests.house.reference` writes it.

A page holds it between two comments, `<!-- made from the code: NAME -->` and `<!-- end -->`; what stands outside of
them is written by hand. `test_reference.py` fails where a page is not what the code says.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.house import reference_commands, reference_policy, reference_shapes, reference_values
from tests.house.docs_page import pages as documentation
from tests.house.tree import ROOT

PARTS: Final[Mapping[str, Callable[[], list[str]]]] = {
    "commands": reference_commands.commands,
    "exit statuses": reference_commands.exit_statuses,
    "exit statuses in short": reference_commands.exit_statuses_in_short,
    "events": reference_shapes.events,
    "values in events": reference_shapes.values_in_events,
    "actions": reference_shapes.actions,
    "json shapes": reference_shapes.json_shapes,
    "baseline rules": reference_policy.baseline_rules,
    "floor rules": reference_policy.floor_rules,
    "baseline decisions": reference_policy.baseline_decisions,
    "conditions": reference_policy.conditions,
    "policy actions": reference_policy.actions,
    "claim flags": reference_policy.claims,
    "lint findings": reference_policy.findings,
    "risk tags": reference_values.risk_tags,
    "reason codes": reference_values.reason_codes,
    "outcomes": reference_values.outcomes,
    "error codes": reference_values.error_codes,
    "settings": reference_values.settings,
    "invariants": reference_values.invariants,
    "limits": reference_values.limits,
    "limits of the files": reference_values.file_limits,
    "sensitive places": reference_values.sensitive_places,
    "executed places": reference_values.executed_places,
    "tables": reference_values.tables,
}

_PART: Final = re.compile(r"(?<=<!-- made from the code: )([a-z ]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Return the pages of the documentation that hold something made from the code."""
    return [path for path in documentation() if _PART.search(path.read_text(encoding="utf-8"))]


def names_in(page: str) -> list[str]:
    """Return the names of the parts that a page holds."""
    return [match[1] for match in _PART.finditer(page)]


def made_new(page: str) -> str:
    """Return the page with its parts as the code says they are now."""

    def part(match: re.Match[str]) -> str:
        lines = "\n".join(PARTS[match[1]]())
        return f"{match[1]}{match[2]}\n{lines}\n\n"

    return _PART.sub(part, page)


def main() -> None:
    """Write every page anew and name those that changed."""
    for path in pages():
        page = path.read_text(encoding="utf-8")
        new = made_new(page)
        if new != page:
            path.write_text(new, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
