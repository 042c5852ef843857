"""The rules in force where nobody gave others, and the floors that hold whatever anybody gives."""

from typing import Final

from .policy_document import Conditions, Rule, layer_of_rules

_CHANGES: Final = ("file.write", "file.create", "file.rename", "file.move", "file.delete", "file.restore")
_NEW: Final = ("file.write", "file.create", "file.restore")
_LOOKS: Final = ("file.read", "file.list", "file.search")
_COMMANDS: Final = ("shell.exec", "code.run")

BASELINE: Final = layer_of_rules(
    "baseline",
    (
        Rule(
            "executed-files-stay-closed",
            _CHANGES,
            "deny",
            Conditions(executed=True),
            "other programs on this machine run or obey this file",
            code="protected",
        ),
        Rule(
            "sensitive-files-stay-closed",
            "file.*",
            "deny",
            Conditions(sensitive=True),
            "the name says that it holds credentials or keys",
            code="sensitive",
        ),
        Rule(
            "hidden-files-stay-closed",
            "file.*",
            "deny",
            Conditions(hidden=True),
            "a hidden file",
            code="sensitive",
        ),
        Rule(
            "hard-links-need-a-person",
            "file.read",
            "allow_with_confirm",
            Conditions(hard_link=True),
            "the file has another name, perhaps outside the grant",
            remember=False,
        ),
        Rule(
            "read-inside-a-grant",
            _LOOKS,
            "allow",
            Conditions(path_within_grant=True),
            "reading inside a granted folder",
        ),
        Rule(
            "overwrite-needs-a-person",
            "file.write",
            "allow_with_confirm",
            Conditions(target_exists=True),
            "replacing a file needs a person",
        ),
        Rule(
            "write-inside-an-output-root",
            _NEW,
            "allow",
            Conditions(path_within_output_root=True),
            "a new file inside an output root",
        ),
        Rule(
            "write-elsewhere-needs-a-person",
            _NEW,
            "allow_with_confirm",
            Conditions(path_within_output_root=False),
            "a new file outside the output roots needs a person",
        ),
        Rule(
            "no-move-between-grants",
            ("file.move", "file.rename"),
            "deny",
            Conditions(cross_root=True),
            "moving a file from one granted folder into another",
        ),
        Rule(
            "delete-needs-a-person",
            "file.delete",
            "allow_with_confirm",
            reason="deleting needs a person",
            remember=False,
        ),
        Rule("rename-needs-a-person", "file.rename", "allow_with_confirm", reason="renaming needs a person"),
        Rule("move-needs-a-person", "file.move", "allow_with_confirm", reason="moving needs a person"),
        Rule(
            "commands-need-a-person",
            _COMMANDS,
            "allow_with_confirm",
            reason="running a command needs a person",
        ),
        Rule(
            "granted-hosts-need-a-person",
            "network.request",
            "allow_with_confirm",
            Conditions(host_in_allowlist=True),
            "what is sent to a granted host leaves this machine",
        ),
        Rule(
            "no-network",
            "network.request",
            "deny",
            Conditions(host_in_allowlist=False),
            "the host was not granted",
            code="net_denied",
        ),
        Rule(
            "subagents-can-do-no-more",
            "subagent.spawn",
            "allow",
            reason="a subagent can do no more than the task that starts it",
        ),
        Rule("no-connectors", ("connector.read", "connector.action"), "deny", reason="connectors are closed"),
    ),
)
"""The first layer where there is no organisation's document and no other root document."""

FLOOR: Final = layer_of_rules(
    "floor",
    (
        Rule(
            "floor.host-executed",
            (*_CHANGES, *_COMMANDS),
            "allow_with_confirm",
            Conditions(executed=True),
            "other programs run or obey this file",
            remember=False,
            code="protected",
        ),
        Rule(
            "floor.hardlink",
            ("file.read", "file.search", "file.write", "file.rename", "file.move", "file.delete"),
            "allow_with_confirm",
            Conditions(hard_link=True),
            "the file has another name, perhaps outside the grant",
            remember=False,
        ),
    ),
    fallback="allow",
)
"""The last layer of every policy: what no document may allow without a person."""
