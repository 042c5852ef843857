"""Cases of a policy: questions with the answers that somebody expects, and which rules the cases reach."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from .policy_decision import Judgement
from .policy_document import Layer

RuleKey: TypeAlias = tuple[str, str]
"""A document's digest, and the id of one of its rules or limits."""


class Case(msgspec.Struct, frozen=True):
    """A case as its file has it. `line` is where it begins, from 1."""

    line: int
    value: object


class CaseFile(msgspec.Struct, frozen=True):
    """A file of cases: documents and scopes by the names that the cases call them by, and the cases in their order.

    `policies` are documents as values; `files` the paths of those that are files of their own, by name.
    """

    path: str
    policies: dict[str, object]
    scopes: dict[str, object]
    cases: tuple[Case, ...]
    files: dict[str, str] = {}


_SETS: Final = ("riskTags", "confirmRules", "missingFacts", "matched")


def is_as_expected(expected: object, got: object) -> bool:
    """Whether an answer has what is expected of it: of an object the fields that are named; tags in any order."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return all(key in got and _same(value, got[key], in_order=key not in _SETS) for key, value in expected.items())
    return _same(expected, got, in_order=True)


def _same(expected: object, got: object, *, in_order: bool) -> bool:
    if not in_order and isinstance(expected, list) and isinstance(got, list):
        return sorted(map(str, expected)) == sorted(map(str, got))
    # `true` is not 1, and a number is not the text of it.
    return type(expected) is type(got) and expected == got


# Coverage


class RuleReach(msgspec.Struct, frozen=True, rename="camel"):
    """A rule or limit of a document, and in how many cases and examples it decided."""

    document: str
    rule: str
    cases: int


def decided_rules(judgement: Judgement) -> Iterator[RuleKey]:
    """Yield what decided its layer's answer about some part of the request; of rules on trial, what matched."""
    for said in judgement.said:
        answer, digest = said.answer, said.layer.layer.digest
        if answer.limit is not None:
            yield digest, answer.limit.id
            continue
        if answer.rule is not None:
            yield digest, answer.rule.id
        if answer.program is not None:
            for rule in answer.program.rules_of(answer.known_rows):
                if rule.mode == "audit":
                    yield digest, rule.id


def reach_of(documents: Sequence[Layer], decided: Sequence[frozenset[RuleKey]]) -> list[RuleReach]:
    """Return for each rule and limit of the documents in how many cases it decided; examples that match count."""
    counts: dict[RuleKey, int] = {}
    for keys in decided:
        for key in keys:
            counts[key] = counts.get(key, 0) + 1
    found: list[RuleReach] = []
    for layer in documents:
        examples = [(rule.id, len(rule.match)) for rule in layer.document.rules]
        examples += [(limit.id, 0) for limit in layer.document.limits]
        digest = layer.digest
        found += [RuleReach(layer.name, name, counts.get((digest, name), 0) + given) for name, given in examples]
    return found
