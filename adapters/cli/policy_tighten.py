"""`cowork policy tighten`: the least that recorded history needed, as a document."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from . import output
from .opening import opened
from .options import PLAIN_OPTIONS, Options
from .policy_backtest import SinceOption, print_examples, since_of

if TYPE_CHECKING:
    from ...engine.application import Proposal


def tighten(
    *,
    since: SinceOption | None = None,
    write: Annotated[
        Path | None, Parameter(help="Write the document to this new file, as TOML or JSON by its ending.", negative="")
    ] = None,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Propose rules that allow what was needed on record and nothing else, each with what it rests on.

    Only what ran and did not fail counts as needed; what a person was asked about stays asked. The document narrows
    what other layers allow: read it, change it, try it with `backtest --as user`, and put it among your own.

        cowork policy tighten --since 30d
        cowork policy tighten --write narrow.toml
    """
    moment = since_of(since)
    with opened(options, absent_is_empty=True) as engine:
        proposal = engine.inquiries.tighten(since=moment)
    if not proposal.document.rules and not options.json:
        output.line("nothing on record ran in that time: there is nothing to go by")
        return
    if write is not None:
        _write(proposal, write)
    if options.json:
        output.document(proposal)
    else:
        _print(proposal)


def _write(proposal: "Proposal", path: Path) -> None:
    import msgspec

    from ...domain.errors import DomainError
    from ...projections.visible_text import visible
    from .policy_toml import toml_of

    if path.suffix.lower() == ".json":
        text = msgspec.json.format(msgspec.json.encode(proposal.document), indent=2).decode()
    else:
        head = f"# what positions {proposal.since} to {proposal.position} of the log needed"
        text = f"{head}\n{toml_of(proposal.document)}"
    shown = visible(os.fspath(path))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except FileExistsError as error:
        raise DomainError("invalid", f"`{shown}` is there already", "name a file that is not") from error
    except OSError as error:
        raise DomainError("unavailable", f"`{shown}` can't be written: {error.strerror}") from error


def _print(proposal: "Proposal") -> None:
    from ...projections.policy_words import fallback_in_words, limit_in_words, rule_in_words
    from ...projections.visible_text import visible, visible_line
    from .layout import plural

    evidence = {one.rule: one for one in proposal.evidence}
    for rule in proposal.document.rules:
        output.line(f"{visible(rule.id)}: {rule_in_words(rule)}")
        found = evidence.get(rule.id)
        if found is not None:
            asked = f", {found.asked} of them after a yes" if found.asked else ""
            output.line(f"  needed by {plural(found.actions, 'action')}{asked}")
            print_examples(found.examples)
    for limit in proposal.document.limits:
        output.line(f"{visible(limit.id)}: {limit_in_words(limit)}")
    output.line(fallback_in_words(proposal.document))
    for left in proposal.left_out:
        amount = plural(left.actions, "action")
        output.line(f"left out: {amount} of {left.kind}, {visible(left.why)} ({visible(left.rule)})")
    if proposal.rules_never_needed:
        output.line(f"rules that no decision matched: {visible_line(', '.join(proposal.rules_never_needed))}")
    for grant in proposal.grants:
        unused = [f"{verb} was never needed" for verb in grant.verbs_never_used]
        unused += [f"nothing was made in {visible(root)}" for root in grant.output_roots_never_used]
        if grant.grants_never_used:
            unused.insert(0, f"{grant.grants_never_used} of {plural(grant.grants, 'grant')} were not used at all")
        if unused:
            output.line(f"{visible(grant.root_path)}: {', '.join(unused)}")
