"""The closed set of short codes that say why an action was refused or did not succeed."""

from typing import Literal, get_args

ReasonCode = Literal[
    "no_grant",  # no grant in force covers it
    "escape",  # the path leaves the granted folder
    "symlink",  # a component of the path is a symbolic link
    "xdev",  # the path crosses into another file system
    "special",  # not an ordinary file or folder
    "hardlink",  # the file has more than one name
    "protected",  # a place that tools on this machine execute or trust
    "sensitive",  # secrets and hidden files
    "name",  # a name that is empty, has NUL or control characters, or is the grant itself
    "limit",  # over a bound of engine/limits.py
    "conflict",  # the world is not as the action needs it, or as it was shown
    "not_found",  # the target does not exist
    "policy",  # a rule, or the default, denies it
    "no_approval",  # it needs an answer that it does not have
    "rejected",  # a person said no
    "expired",  # nobody answered in time
    "skipped",  # it would have asked, and the plan says to go on without
    "withdrawn",  # the question was taken back: task cancelled, or the world moved
    "unavailable",  # nothing here can carry it out
    "net_denied",  # the host is not among those granted, or is none
    "net_addr",  # the host's address is private, special or a machine's own
    "exit",  # a command ended with an error; what it changed was dropped
    "interrupted",  # a person stopped it before it had done anything
    "budget",  # more than the task may use up
    "subagent",  # a subagent's task did not succeed
    "blocked",  # a subagent's task was denied what it needed
    "io",  # the operating system refused
    "unknown",  # a crash left it open whether it happened
]

REASON_CODES: tuple[ReasonCode, ...] = get_args(ReasonCode)
