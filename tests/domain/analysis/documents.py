"""Random documents whose patterns and conditions collide, and requests made of the same few words.

All requests keep to what an analysis takes for granted: every fact is known, and a path has one spelling.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec

from cowork.domain.action import ActionKind
from cowork.domain.policy_decision import Judgement, ReadyFrame, judge
from cowork.domain.policy_document import (
    KINDS,
    Conditions,
    Defaults,
    Layer,
    PolicyDocument,
    Rule,
    TimeWindow,
    ToolHint,
    Verdict,
    Version,
    layer,
)
from cowork.domain.policy_frame import ReadyScope
from cowork.domain.policy_layer import ReadyLayer
from cowork.domain.policy_request import FrameScope, GrantedConnector, GrantedRoot, Request

VERDICTS: tuple[Verdict, ...] = ("allow", "allow", "allow_with_confirm", "deny", "deny")
ACTIONS = (
    *("file.read", "file.write", "file.read", "file.*", "file.*", "*", "file.delete", "file.move", "file.create"),
    *("network.request", "network.request", "shell.exec", "connector.*", "connector.action", "subagent.spawn"),
)
GLOBS = (
    *("**/.env*", "**/.env", "/ws/**", "/ws/a/**", "**/a/**", "/ws/*", "/ws/*/b", "**/*.md", "**/*.m*", "**/a", "**"),
    *("/ws/a/b", "/ws/a/*.md", "**/secrets/**", "/etc/**", "**/b*", "**/*b", "/ws/a*/**", "/ws/**/b/**", "a/**"),
)
NAMES = ("a", "b", "ab", "bb", "x.md", "b.md", ".env", ".envrc", "secrets", "id_rsa", "notes", ".git", "README.MD")
TOPS = ("ws", "ws", "ws", "etc", "x")
HOSTS = ("a.com", "*.a.com", "b.a.com", "a.com:8443", "a.com:*", "*.b.a.com", "c.org", "a.com:443", "127.0.0.1")
ASKED_HOSTS = ("a.com", "b.a.com", "x.b.a.com", "a.com:8443", "a.com:443", "c.org", "z.net", "127.0.0.1", "b.a.com:9")
METHODS = ("GET", "POST", "DELETE")
TOOLS = ("mail_*", "*send*", "mail_send", "*", "list", "mail_*_x")
ASKED_TOOLS = ("mail_send", "mail_x", "list", "send", "other", "mail_get_x")
LABELS = ("web", "mail", "connector")
COMMANDS = (("git",), ("git", ("status", "log")), ("rm",), ("rm", "-rf"), ("ls",), (("ls", "cat"),), ("git", "push"))
ASKED_COMMANDS = (
    *(("git",), ("git", "status"), ("git", "log", "-p"), ("git", "push", "x"), ("rm", "-rf", "x"), ("rm", "x")),
    *(("ls", "-l"), ("cat", "x"), ("make",)),
)
WINDOWS = (
    TimeWindow(from_="09:00", to="17:00"),
    TimeWindow(from_="17:00", to="09:00"),
    TimeWindow(days=("mon", "tue")),
    TimeWindow(days=("sat", "sun"), from_="08:00", to="12:00"),
    TimeWindow(from_="10:00", to="10:00"),
    TimeWindow(not_before="2026-03-01T00:00:00Z"),
    TimeWindow(not_after="2026-03-10T00:00:00Z", from_="12:00"),
)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
_FLAGS = ("hidden", "sensitive", "executed", "target_exists", "hard_link", "cross_root", "host_in_allowlist", "tainted")
_SCOPES = (
    ((("/ws",),), ("/ws/a",)),
    ((("/ws", "/etc"),), ()),
    ((("/",),), ("/ws", "/etc")),
    ((("/ws", "/ws/a", "/x"),), ("/ws",)),
)


def random_conditions(random: Random, version: str) -> Conditions:
    """Return conditions with up to three keys."""
    return msgspec.structs.replace(Conditions(), **dict(_keys(random, version)))


def _keys(random: Random, version: str) -> list[tuple[str, object]]:
    choices: list[tuple[str, object]] = [
        ("matches_pattern", tuple(random.sample(GLOBS, random.choice((1, 1, 2, 3))))),
        ("matches_pattern", (random.choice(GLOBS),)),
        ("path_within_output_root", random.random() < 0.5),
        ("path_within_grant", random.random() < 0.8),
        ("file_size_greater_than", random.choice((-1, 0, 10, 100, 100, 1000))),
        ("host_in_allowlist", random.random() < 0.5),
        ("connector_scope_allowed", random.random() < 0.8),
    ]
    if version == "1.1":
        choices += [
            ("extension_in", tuple(random.sample((".md", ".MD", ".env", ".m", "md"), 2))),
            (random.choice(_FLAGS), random.random() < 0.5),
            ("host_matches", tuple(random.sample(HOSTS, random.choice((1, 2))))),
            ("method_in", tuple(random.sample(METHODS, random.choice((1, 2))))),
            ("connector_in", (random.choice(("mail", "crm")),)),
            ("tool_matches", (random.choice(TOOLS),)),
            ("tool_hint", ToolHint(read_only_hint=random.random() < 0.5)),
            ("command_prefix", tuple(random.sample(COMMANDS, random.choice((1, 2))))),
            ("taint_in", tuple(random.sample(LABELS, random.choice((1, 2))))),
            ("subagent_depth_greater_than", random.choice((0, 1, 2))),
            ("batch_count_greater_than", random.choice((0, 1, 5))),
            ("time_window", random.choice(WINDOWS)),
        ]
    return random.sample(choices, random.choice((0, 1, 1, 1, 2, 2, 3)))


def random_rule(random: Random, version: str, number: int) -> Rule:
    """Return a rule."""
    unless: tuple[Conditions, ...] = ()
    if version == "1.1" and random.random() < 0.3:
        unless = tuple(random_conditions(random, version) for _ in range(random.choice((1, 1, 2))))
    return Rule(
        id=f"r{number}",
        action=random.choice(ACTIONS) if random.random() < 0.8 else tuple(random.sample(ACTIONS, 2)),
        decision=random.choice(VERDICTS),
        when=random_conditions(random, version),
        unless=unless,
        mode="audit" if version == "1.1" and random.random() < 0.05 else "enforce",
    )


def random_document(random: Random) -> PolicyDocument:
    """Return a document of either version with up to eight rules."""
    version: Version = random.choice(("1.0", "1.1"))
    rules = tuple(random_rule(random, version, number) for number in range(random.randint(1, 8)))
    return PolicyDocument(version=version, defaults=Defaults(random.choice(VERDICTS)), rules=rules)


def random_edit(random: Random, document: PolicyDocument) -> PolicyDocument:
    """Return the document with a rule changed, dropped, added or moved."""
    rules = list(document.rules)
    at = random.randrange(len(rules))
    match random.randrange(5):
        case 0:
            del rules[at]
        case 1:
            rules[at] = msgspec.structs.replace(random_rule(random, document.version, at), id=rules[at].id)
        case 2:
            rules[at] = msgspec.structs.replace(rules[at], decision=random.choice(VERDICTS))
        case 3:
            rules.insert(at, random_rule(random, document.version, len(rules)))
        case _:
            other = random.randrange(len(rules))
            rules[at], rules[other] = rules[other], rules[at]
    return msgspec.structs.replace(document, rules=tuple(rules))


# Requests -----------------------------------------------------------------------------------------------------------


class Asked(msgspec.Struct, frozen=True):
    """A request, in a scope that is ready."""

    request: Request
    scope: ReadyScope


def random_requests(random: Random, count: int) -> list[Asked]:
    """Return requests of all kinds in a few scopes."""
    scopes = [
        ReadyScope(
            FrameScope(
                grants=tuple(GrantedRoot(root=root) for root in roots),
                output_roots=outputs,
                host_allowlist=hosts,
                connectors=tuple(GrantedConnector(id=one, allow_actions=True) for one in ("mail", "crm", "drive")),
            )
        )
        for (roots,), outputs in _SCOPES
        for hosts in ((), ("a.com", "*.a.com:*"))
    ]
    return [Asked(random_request(random, random.choice(KINDS)), random.choice(scopes)) for _ in range(count)]


def random_request(random: Random, kind: ActionKind) -> Request:
    """Return a request of a kind whose facts are all known."""
    request = Request(
        action=kind,
        file_size_bytes=random.choice((0, 1, 10, 11, 100, 500, 1001)),
        target_exists=random.random() < 0.5,
        link_count=random.choice((1, 1, 2)),
        labels=tuple(random.sample((*LABELS, "other"), random.choice((0, 0, 1, 2)))),
        depth=random.choice((0, 0, 1, 2, 3)),
        batch_count=random.choice((1, 1, 2, 6)),
        now=MONDAY + timedelta(hours=random.randrange(24 * 14), minutes=random.choice((0, 30))),
        host=random.choice(ASKED_HOSTS),
        method=random.choice((*METHODS, "PATCH")),
        connector=random.choice(("mail", "crm", "drive")),
        tool=random.choice(ASKED_TOOLS),
        tool_trusted=True,
        annotations={"readOnlyHint": random.random() < 0.5},
        commands=(random.choice(ASKED_COMMANDS),),
    )
    if kind.startswith("file.") or kind in ("shell.exec", "code.run") or random.random() < 0.3:
        request = msgspec.structs.replace(request, path=_path(random))
    if kind in ("file.move", "file.rename"):
        request = msgspec.structs.replace(request, to_path=_path(random))
    return request


def _path(random: Random) -> str:
    return "/".join(("", random.choice(TOPS), *random.choices(NAMES, k=random.choice((1, 1, 2, 2, 3)))))


def answered(layers: Sequence[ReadyLayer], asked: Asked) -> Judgement:
    """Return the evaluator's answer."""
    return judge((ReadyFrame(asked.scope, tuple(layers)),), asked.request)


def ready(document: PolicyDocument, name: str = "policy") -> ReadyLayer:
    """Return a document's layer, ready."""
    return ReadyLayer(layer(name, document))


def as_layer(document: PolicyDocument, name: str = "policy") -> Layer:
    """Return a document's layer."""
    return layer(name, document)
