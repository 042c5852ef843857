"""What an analysis of policy takes: a lint, a diff after one edit, a proof, at 10, 100 and 1,000 rules.

Each round has a document of its own, so that nothing is answered from memory; times are of the processor, one core.
"""

import time
from collections.abc import Callable
from random import Random

import msgspec

from cowork.domain.policy_analysis import diff, lint, prove, who_can
from cowork.domain.policy_document import VERDICTS, PolicyDocument
from tests.bench.figure import Figure
from tests.bench.policy_workload import document_of

SIZES = (10, 100, 1000)
AIMS_MS = {("lint", 100): 500.0, ("diff", 100): 50.0}
CLAIM = "no file.write outside outputRoots without confirm"


def measure_analysis(rounds: int) -> list[Figure]:
    """Milliseconds of each question at each size. A lint of 1,000 rules takes seconds and has two rounds at most."""
    figures: list[Figure] = []
    for size in SIZES:
        documents = [document_of(size, seed=seed) for seed in range(1, (min(rounds, 2) if size > 100 else rounds) + 1)]
        # A diff of its own documents first: what a lint has found out of the patterns is not to help it.
        for name, ask in _QUESTIONS.items():
            figures.append(
                Figure(
                    key=f"policy-{name}-{size}",
                    title=f"policy {_TITLES[name]}, {size:,} rules",
                    unit="ms",
                    rounds=tuple(_took_ms(ask, document, number) for number, document in enumerate(documents)),
                    aim=AIMS_MS.get((name, size)),
                    better="less",
                )
            )
    return figures


def _took_ms(ask: Callable[[PolicyDocument, int], object], document: PolicyDocument, number: int) -> float:
    began = time.process_time()
    ask(document, number)
    return (time.process_time() - began) * 1000


def _edited(document: PolicyDocument, seed: int) -> PolicyDocument:
    """Return the document with another decision in one rule."""
    rules = list(document.rules)
    at = Random(seed).randrange(len(rules))
    other = VERDICTS[(VERDICTS.index(rules[at].decision) + 1) % len(VERDICTS)]
    rules[at] = msgspec.structs.replace(rules[at], decision=other)
    return msgspec.structs.replace(document, rules=tuple(rules))


_QUESTIONS: dict[str, Callable[[PolicyDocument, int], object]] = {
    "diff": lambda document, number: diff(document, _edited(document, number)),
    "prove": lambda document, _: prove(document, CLAIM),
    "who-can": lambda document, _: who_can(document, "file.read"),
    "lint": lambda document, _: lint(document),
    "lint-1.0": lambda document, _: lint(msgspec.structs.replace(document, version="1.0")),
}
_TITLES = {
    "diff": "diff after one edit",
    "prove": "proof of a claim",
    "who-can": "who can read a file",
    "lint": "lint",
    "lint-1.0": "lint of the same as version 1.0",
}
