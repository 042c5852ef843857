"""`cowork policy diff`: what becomes allowed, asked about or denied from one policy to the other."""

from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from . import output
from .exit_status import ExitStatus
from .policy_check import JsonOption
from .policy_stack import AsOption, DocumentFile, example_line, stack_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...domain.policy_analysis import Change, PolicyDiff
    from ...domain.policy_document import Layer

_STEPS: Final = {"allow": 0, "allow_with_confirm": 1, "deny": 2}


def diff(
    old: DocumentFile,
    new: DocumentFile,
    /,
    *,
    layer: AsOption = "root",
    any_change: Annotated[bool, Parameter(negative="", help="End with 1 for every difference.")] = False,
    json: JsonOption = False,
) -> ExitStatus:
    """Say what a change of policy changes: for each pair of rules that answer differently one request.

    Ends with 1 where something becomes more permitted, or where that can't be settled; with 0 where the two are proved
    to be alike, or the new one is only stricter.

        cowork policy diff team.toml team-new.toml
        cowork policy diff baseline team.toml --any-change
    """
    from ...domain.policy_analysis import diff as diff_layers

    stacks = _under_one_name(stack_of(old, layer)), _under_one_name(stack_of(new, layer))
    found = diff_layers(*stacks)
    wider = tuple(_wider_limits(*stacks))
    if json:
        output.document(found)
    else:
        _print(found, [*stacks[0], *stacks[1]])
    if any_change:
        return ExitStatus.DONE if found.equivalent and not found.notes else ExitStatus.FAILED
    widens = any(is_wider(change) for change in found.changes) or bool(wider) or bool(found.unsettled)
    return ExitStatus.FAILED if widens else ExitStatus.DONE


def is_wider(change: "Change") -> bool:
    """Whether more is permitted than before: a question in place of a denial, or leave in place of a question."""
    return _STEPS[change.new_verdict] < _STEPS[change.old_verdict]


def _under_one_name(stack: "Sequence[Layer]") -> "list[Layer]":
    """Return the layers with the first called `root`, also where it is the shipped one."""
    from ...domain.policy_document import Layer

    first = stack[0]
    return [Layer("root", first.document, first.source), *stack[1:]] if len(stack) == 2 else list(stack)


def _wider_limits(old: "Sequence[Layer]", new: "Sequence[Layer]") -> "list[str]":
    """Return the limits that are gone, or let more through than before."""
    now = {limit.id: limit for layer in new for limit in layer.document.limits}
    wider: list[str] = []
    for was in (limit for layer in old for limit in layer.document.limits):
        after = now.get(was.id)
        same_count = after is not None and (after.unit, set(was.actions) <= set(after.actions)) == (was.unit, True)
        if after is None or not same_count or after.max > was.max or _STEPS[after.on_exceed] < _STEPS[was.on_exceed]:
            wider.append(was.id)
    return wider


def _print(found: "PolicyDiff", layers: "Sequence[Layer]") -> None:
    from ...projections.visible_text import visible, visible_line

    if found.equivalent:
        output.line("proved: every request gets the same answer")
    wider = [change for change in found.changes if is_wider(change)]
    narrower = [change for change in found.changes if not is_wider(change)]
    for title, changes in (("more permitted:", wider), ("less permitted:", narrower)):
        if changes:
            output.line(title)
            _print_changes(changes, layers)
    for limit in found.limits:
        output.line(visible_line(limit))
    for note in found.notes:
        output.line(f"answers as before, but: {visible_line(note)}")
    for open_part in found.unsettled:
        output.line(f"not settled for {visible(open_part.kind)}: {visible_line(open_part.why)}")


def _print_changes(changes: "Sequence[Change]", layers: "Sequence[Layer]") -> None:
    """Print the changes, those between the same two rules together, with a request for the first of them."""
    from ...projections.policy_words import VERDICT_WORDS
    from ...projections.visible_text import visible

    pairs: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        pairs.setdefault((change.old_rule, change.new_rule), []).append(change)
    for (old_rule, new_rule), same in pairs.items():
        kinds = ", ".join(dict.fromkeys(change.kind for change in same))
        was, now = VERDICT_WORDS[same[0].old_verdict], VERDICT_WORDS[same[0].new_verdict]
        output.line(f"  {kinds}: {was} by {visible(old_rule)}, now {now} by {visible(new_rule)}")
        output.line(f"    {example_line(same[0].witness, layers)}")
