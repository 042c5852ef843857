"""Rules and requests in words: nothing that a rule asks about is left out of its sentence, and nothing deceives."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from cowork.domain.policy_document import Conditions, Limit, PolicyDocument, Rule, TimeWindow, ToolHint
from cowork.domain.policy_request import FrameScope, GrantedConnector, GrantedRoot, Item, Request
from cowork.projections.policy_words import (
    conditions_in_words,
    fallback_in_words,
    limit_in_words,
    request_in_words,
    rule_in_words,
    scope_in_words,
)

VALUES: dict[str, Any] = {
    "matches_pattern": ("/a/**",),
    "file_size_greater_than": 10,
    "extension_in": (".md",),
    "host_matches": ("a.example",),
    "method_in": ("GET",),
    "connector_in": ("mail",),
    "tool_matches": ("get*",),
    "tool_hint": ToolHint(destructive_hint=False),
    "command_prefix": (("git", ("status", "log")),),
    "taint_in": ("web",),
    "subagent_depth_greater_than": 1,
    "batch_count_greater_than": 5,
    "time_window": TimeWindow(from_="08:00", to="18:00"),
}


EXCEPTED = (
    "denies file.read where a name in the path begins with a dot and the name ends in `.a` or `.b`, "
    "unless the path matches `/x`, unless other programs run or obey the file: why"
)


def conditions(**wants: object) -> Conditions:
    return msgspec.structs.replace(Conditions(), **wants)


@pytest.mark.parametrize("field", Conditions.__struct_fields__)
def test_every_condition_is_said(field: str) -> None:
    value = VALUES.get(field, True)
    words = conditions_in_words(conditions(**{field: value}))
    assert words
    if value is True:
        assert conditions_in_words(conditions(**{field: False})) not in ("", words)
    others = "hidden" if field == "tainted" else "tainted"
    assert words in conditions_in_words(conditions(**{field: value, others: True}))
    assert conditions_in_words(conditions(**{others: True})) in conditions_in_words(
        conditions(**{field: value, others: True})
    )


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule("a", "file.read", "allow"), "allows file.read"),
        (Rule("a", "*", "deny"), "denies every action"),
        (Rule("a", ("file.*", "connector.*"), "deny"), "denies every action on a file and every use of a connector"),
        (Rule("a", "file.read", "allow_with_confirm"), "asks a person before file.read"),
        (Rule("a", "file.read", "allow_with_confirm", remember=False), "asks a person every time before file.read"),
        (
            Rule("a", "file.read", "deny", mode="audit"),
            "would deny file.read (tried out only: it never decides)",
        ),
        (
            Rule(
                "a",
                "file.read",
                "deny",
                Conditions(hidden=True, extension_in=(".a", ".b")),
                "why",
                unless=(Conditions(matches_pattern=("/x",)), Conditions(executed=True)),
            ),
            EXCEPTED,
        ),
        (
            Rule("a", "shell.exec", "allow", Conditions(command_prefix=(("git", ("status", "log")), ("ls",)))),
            "allows shell.exec where the command begins with `git (status|log)` or `ls`",
        ),
    ],
)
def test_a_rule_is_a_sentence(rule: Rule, words: str) -> None:
    assert rule_in_words(rule) == words


def test_what_deceives_in_a_rule_is_written_out() -> None:
    rule = Rule("a", "file.read", "deny", Conditions(matches_pattern=("/a\u202e\x1b[2J",)), reason="x\u202ey")
    assert rule_in_words(rule) == "denies file.read where the path matches `/a\\u202e\\x1b[2J`: x\\u202ey"
    request = Request(action="file.read\x07", path="/a\n\u202e", labels=("w\x1b",))
    assert request_in_words(request).isprintable()


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Limit(id="a", action="file.delete", max=5), "denies what is more than 5 file.delete in a task"),
        (
            Limit(id="a", action="*", max=2.5, unit="usd", on_exceed="allow_with_confirm", reason="dear"),
            "asks a person about what is more than 2.5 usd in every action in a task: dear",
        ),
    ],
)
def test_a_limit_is_a_sentence(limit: Limit, words: str) -> None:
    assert limit_in_words(limit) == words


def test_every_fallback_is_said() -> None:
    said = {
        fallback_in_words(msgspec.convert({"defaults": {"fallback": verdict}}, PolicyDocument))
        for verdict in ("allow", "allow_with_confirm", "deny")
    }
    assert len(said) == 3


def test_a_request_is_told_with_the_facts_that_it_has() -> None:
    assert request_in_words(Request(action="file.read", path="/a")) == "file.read /a"
    moved = Request(action="file.move", path="/a", real_path="/b", to_path="/c", target_exists=False, link_count=2)
    assert request_in_words(moved) == "file.move /a (really /b) to /c (nothing is there, 2 names)"
    sent = Request(action="network.request", host="a.example", method="POST", file_size_bytes=2000, labels=("web",))
    assert request_in_words(sent) == "network.request POST to a.example (2,000 bytes, follows from web)"
    run = Request(action="shell.exec", path="/w", commands=(("git", "status"), ("ls",)), depth=1)
    assert request_in_words(run) == "shell.exec /w -- git status && ls (by an agent 1 deep)"
    called = Request(action="connector.read", connector="mail", tool="get", annotations={"readOnlyHint": True})
    assert request_in_words(called) == 'connector.read mail:get (untrusted tool says {"readOnlyHint":true})'
    batch = Request(action="file.read", items=(Item(path="/a"), Item(path="/b")), batch_count=2)
    assert request_in_words(batch) == "file.read /a; /b (2 at once)"
    later = Request(action="file.read", path="/a", now=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))
    assert request_in_words(later) == "file.read /a (at 2026-01-02T03:04:05+00:00)"


def test_what_was_granted_is_told() -> None:
    assert scope_in_words(FrameScope()) == "nothing"
    scope = FrameScope(
        grants=(GrantedRoot(root="/a"), GrantedRoot(root="/b", mode="r")),
        output_roots=("/a/out",),
        host_allowlist=("a.example",),
        connectors=(GrantedConnector(id="mail"),),
    )
    assert scope_in_words(scope) == ("/a, /b for reading, results in /a/out, the host a.example and the connector mail")
