"""Typed identifiers: prefixed, time-ordered strings such as `task-01jd8m3q7v4k2n9x`.

The text after the prefix is 80 bits in Crockford's base 32 (lower case, 16 digits): 48 bits of Unix time in
milliseconds, then 32 bits of entropy, so that ids sort by the time at which they were made.
Source of the alphabet: Douglas Crockford, *Base 32*.
"""

from typing import Final, NewType

SessionId = NewType("SessionId", str)
GrantId = NewType("GrantId", str)
TaskId = NewType("TaskId", str)
SubagentId = NewType("SubagentId", str)
ConfirmationId = NewType("ConfirmationId", str)
CommandId = NewType("CommandId", str)
ActionId = NewType("ActionId", str)
StepId = NewType("StepId", str)

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_BITS: Final = 48
ENTROPY_BITS: Final = 32
DIGITS: Final = (TIME_BITS + ENTROPY_BITS) // 5
_PAIRS: Final = tuple(first + second for first in ALPHABET for second in ALPHABET)
"""Two digits at a time: half the work for something that every command needs."""


def format_id(prefix: str, time_ms: int, entropy: int) -> str:
    """Return `prefix-<16 digits>`; `time_ms` is Unix time in milliseconds, `entropy` any integer (its low 32 bits)."""
    number = (time_ms & ((1 << TIME_BITS) - 1)) << ENTROPY_BITS | (entropy & ((1 << ENTROPY_BITS) - 1))
    pairs = [_PAIRS[(number >> shift) & 1023] for shift in range((DIGITS - 2) * 5, -1, -10)]
    return f"{prefix}-{''.join(pairs)}"


_SPAWNED: Final = "-s"


def child_task_id(action: str) -> TaskId:
    """Return the id of the task of the subagent that an action starts: the same after a crash, so it starts once."""
    task, _, number = action.rpartition(".")
    return TaskId(f"{task}{_SPAWNED}{number}")


def subagent_id(child_task: str) -> SubagentId:
    """Return the id of the subagent that carries a task out: `subagent-…` for its `task-…`."""
    return SubagentId(f"subagent-{child_task.partition('-')[2]}")


def root_task_id(task: str) -> TaskId:
    """Return the id of the task that a person started, given that task's or any of its subagents'."""
    return TaskId("-".join(task.split("-")[:2]))


def task_chain(task: str) -> tuple[TaskId, ...]:
    """Return the ids of a task and of all above it, the one that a person started first."""
    parts = task.split("-")
    return tuple(TaskId("-".join(parts[:end])) for end in range(min(2, len(parts)), len(parts) + 1))


def action_id(task_id: TaskId, sequence: int) -> ActionId:
    """Return the id of a task's `sequence`-th action (from 1): the same after a crash, so nothing is proposed twice."""
    return ActionId(f"{task_id}.{sequence}")
