"""`cowork policy evaluate`: questions as JSON lines on standard input, answers on standard output."""

import sys

from . import output
from .policy_check import JsonOption
from .policy_lines import PolicyLines, PolicyReader
from .policy_lines import evaluate as answer_lines


def reader() -> PolicyReader:
    """Return how documents that come as values are read."""
    from ..bootstrap import document_of_value, faults_of_value

    return PolicyReader(layer=document_of_value, errors=faults_of_value)


def evaluate(*, json: JsonOption = True) -> None:
    """Answer questions about policy: a JSON object on each line of standard input, one answer for each, in order.

    The kinds are decide, discharge, load, origin-rules, hash, glob, under and host. What can't be answered is answered
    with an `error`, and the stream goes on. No store is read or changed.

        cowork policy evaluate < questions.jsonl
    """
    del json  # the answers are JSON whatever is said
    answer_lines(sys.stdin.buffer, PolicyLines(reader()))
    output.flush()
