"""Random documents, scopes, requests and approvals as JSON values, from small alphabets so that they meet often.

Everything is drawn from a `random.Random`: a seeded one for the long comparison, one of Hypothesis' for examples that
shrink.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, TypeVar

Json = dict[str, Any]
T = TypeVar("T")

KINDS = (
    *("file.list", "file.search", "file.read", "file.write", "file.create", "file.rename", "file.move", "file.delete"),
    *("shell.exec", "code.run", "network.request", "connector.read", "connector.action", "subagent.spawn"),
)
FILE_KINDS = KINDS[:8]
VERDICTS = ("allow", "allow", "allow_with_confirm", "deny")
NFC, NFD = "caf\u00e9", "cafe\u0301"
ROOTS = ("/ws", "/ws", "/ws", "/ws/out", "/ws/sub", f"/ws/{NFC}")
NAMES = (
    *("a", "b", "a.md", "B.MD", "x.tar.gz", ".env", "secrets", ".git/hooks/pre", "out", "sub", "a\nb", "s\\a", "r+?"),
    *(NFC, NFD, "id_rsa", "\uff0eenv", "Secrets", "OUT"),
)
ODD_PATHS = (
    *("/ws", "/", "/ws/sub", "/etc/passwd", "/wsx/a", "/ws//a/", "/WS/a", "/old/a", "/ws/.cowork/p", "/ws/.cowork"),
    *("/ws/a/../b", "/ws/s\\..\\..\\x", "a/b", "", "/ws/a\0", f"/ws/{NFD}/a", "/soon/a", "/ws/./a", "/ws/sub/out"),
)
PATTERNS = (
    *("**/.env*", "/ws/**", "**/secrets/**", "**\\secrets\\**", "/ws/*", "**/*.md", "**/a", "/ws/**/a", "**"),
    *(f"/ws/{NFC}/**", f"**/{NFD}*", "/ws/sub/*", "/ws/*/a", "/ws/a", "**/a*", "/w*/out/**", "**/r+?", "**/*b"),
)
EXTENSIONS = (".md", ".MD", ".gz", ".tar.gz", ".env")
HOSTS = (
    *("api.example.com", "API.example.com.", "a.docs.example.com", "docs.example.com", "docs.example.com:8443"),
    *("127.0.0.1", "b\u00fccher.example", "xn--bcher-kva.example:80", "[::1]", "[0:0::1]:8443"),
)
ODD_HOSTS = ("", "2130706433", "api.example.com@evil.org", "example..com", None)
ENTRIES = (
    *("api.example.com", "*.example.com", "*.docs.example.com", "docs.example.com:8443", "docs.example.com:*"),
    *("127.0.0.1", "*.0.0.1", "b\u00fccher.example", "[::1]", "[::1]:*", "not a host"),
)
COMMANDS: tuple[list[str], ...] = (
    *(["git", "status"], ["git", "push", "--force"], ["rm", "-rf", "x"], ["/bin/rm", "-rf", "x"], ["ls"]),
    *(["/usr/bin/git", "log"], ["npm", "test"], [], ["rm"]),
)
COMMAND_PATTERNS = (
    *([["git"]], [["git", ["status", "log"]], ["ls"]], [["rm"]], [["/bin/rm", "-rf"]], [["git", "push", "--force"]]),
    *([[["rm", "/bin/rm"]]], [["npm", "test"]]),
)
TOOLS = ("mail_send", "mail_list", "search")
TOOL_PATTERNS = ("mail_*", "*send*", "search", "*", "*_list")
LABELS = ("web", "connector", "mail")
HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
METHODS = ("GET", "get", "POST")
TAGS = ("large", "sensitive", "delete")
UNITS = ("usd", "tokens")
LIMIT_IDS = ("l1", "l2")
NOON = datetime(2026, 3, 27, 12, tzinfo=UTC)
TIMES = (
    NOON,
    NOON + timedelta(hours=11),
    NOON + timedelta(days=1, hours=13, minutes=30),  # the night in which Berlin's clocks go forward
    NOON + timedelta(days=1, hours=-9),
    NOON.astimezone(timezone(timedelta(hours=9))),
)
WINDOWS: tuple[Json, ...] = (
    {"from": "08:00", "to": "18:00"},
    {"from": "18:00", "to": "08:00", "tz": "Europe/Berlin"},
    {"days": ["fri"], "from": "22:00", "to": "06:00"},
    {"days": ["sat", "sun"], "from": "02:00", "to": "04:00", "tz": "Europe/Berlin"},
    {"from": "09:00", "to": "09:00"},
    {"notBefore": "2026-03-27T12:00:00Z", "notAfter": "2026-03-28T00:00:00+01:00"},
    {},
)


class Draw:
    """Draws values; `kinds` are the two or three kinds of action that rules and requests are mostly about."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.kinds = [self.one(KINDS) for _ in range(2)]
        self.is_about_files = any(kind in FILE_KINDS for kind in self.kinds)

    def one(self, values: Sequence[T]) -> T:
        """One of the values."""
        return values[int(self.random.random() * len(values))]

    def some(self, values: Sequence[T], most: int, least: int = 1) -> list[T]:
        """A few of the values."""
        return [self.one(values) for _ in range(self.random.randint(least, most))]

    def chance(self, part: float) -> bool:
        """True in so many cases."""
        return self.random.random() < part


# Documents


def action_name(draw: Draw, *, is_old: bool) -> str | list[str]:
    """A kind that requests are about, its alias, or a glob over kinds."""
    kind = draw.one(draw.kinds)
    names = (kind, kind, kind.partition(".")[0] + ".*", "*", "file.write", "file.read", "*.r*", "*e*")
    if draw.chance(0.15) and not is_old:
        return draw.some(names, 3)
    return draw.one(names[:6] if is_old else names)


def conditions(draw: Draw, *, is_old: bool) -> Json:
    """A clause of at most three conditions, most of them about what requests are about."""
    if draw.chance(0.25):
        return {}
    makers = _OLD_CONDITIONS if is_old else _CONDITIONS
    if draw.chance(0.8):
        family = draw.one(draw.kinds).partition(".")[0]
        makers = [one for one in makers if one[1] in {"any", family}] or makers
    drawn = [draw.one(makers) for _ in range(draw.one((1, 1, 1, 2, 3)))]
    return {key: make(draw) for key, _, make in drawn}


def _flag(draw: Draw) -> bool:
    return draw.chance(0.6)


_OLD_CONDITIONS: list[tuple[str, str, Any]] = [
    ("pathWithinGrant", "file", _flag),
    ("pathWithinOutputRoot", "file", _flag),
    ("matchesPattern", "file", lambda draw: draw.some(PATTERNS, 3)),
    ("matchesPattern", "file", lambda draw: draw.some(PATTERNS, 1)),
    ("fileSizeGreaterThan", "any", lambda draw: draw.one((0, 100, 1000.5))),
    ("hostInAllowlist", "network", _flag),
    ("connectorScopeAllowed", "connector", _flag),
]
_CONDITIONS: list[tuple[str, str, Any]] = [
    *_OLD_CONDITIONS,
    ("extensionIn", "file", lambda draw: draw.some(EXTENSIONS, 2)),
    ("hidden", "file", _flag),
    ("sensitive", "file", _flag),
    ("executed", "file", _flag),
    ("crossRoot", "file", _flag),
    ("hardLink", "file", _flag),
    ("targetExists", "file", _flag),
    ("hostMatches", "network", lambda draw: draw.some(ENTRIES, 2)),
    ("methodIn", "network", lambda draw: draw.some(METHODS, 2)),
    ("connectorIn", "connector", lambda draw: draw.some(("mail", "crm"), 2)),
    ("toolMatches", "connector", lambda draw: draw.some(TOOL_PATTERNS, 2)),
    ("toolHint", "connector", lambda draw: {draw.one(HINTS): _flag(draw) for _ in range(2)}),
    ("commandPrefix", "shell", lambda draw: draw.one(COMMAND_PATTERNS)),
    ("commandPrefix", "shell", lambda draw: draw.one(COMMAND_PATTERNS)),
    ("tainted", "any", _flag),
    ("taintIn", "any", lambda draw: draw.some(LABELS, 2)),
    ("subagentDepthGreaterThan", "any", lambda draw: draw.one((0, 1))),
    ("batchCountGreaterThan", "any", lambda draw: draw.one((1, 2))),
    ("timeWindow", "any", lambda draw: draw.one(WINDOWS)),
]


def rule(draw: Draw, number: int, *, is_old: bool) -> Json:
    """One rule."""
    found: Json = {"id": f"r{number}", "action": action_name(draw, is_old=is_old), "decision": draw.one(VERDICTS)}
    if clause := conditions(draw, is_old=is_old):
        found["when"] = clause
    if draw.chance(0.25):
        found["riskTags"] = draw.some(TAGS, 2)
    if is_old:
        return found
    if draw.chance(0.25):
        found["unless"] = [conditions(draw, is_old=False) for _ in range(draw.one((1, 1, 2)))]
    if draw.chance(0.08):
        found["mode"] = "audit"
    if draw.chance(0.15):
        found["remember"] = False
    return found


def limit(draw: Draw, name: str) -> Json:
    """One limit."""
    found: Json = {"id": name, "action": action_name(draw, is_old=False), "max": draw.one((0, 2, 2.5))}
    if draw.chance(0.6):
        found["onExceed"] = "allow_with_confirm"
    if draw.chance(0.4):
        found["unit"] = draw.one(UNITS)
    return found


def document(draw: Draw) -> Json:
    """A document of either version."""
    is_old = draw.chance(0.35)
    count = draw.one((0, 1, 2, 3, 4, 5, 6))
    found: Json = {
        "version": "1.0" if is_old else "1.1",
        "defaults": {"fallback": draw.one(("allow", "allow", "allow_with_confirm", "deny"))},
        "rules": [rule(draw, number, is_old=is_old) for number in range(count)],
    }
    if not is_old and draw.chance(0.12):
        found["limits"] = [limit(draw, name) for name in LIMIT_IDS[: draw.one((1, 2))]]
    return found


# Scopes and frames


def scope(draw: Draw) -> Json:
    """What a frame was granted: mostly the folder that requests are mostly about."""
    grants: list[Json] = [{"root": "/ws"}] if draw.chance(0.85) else []
    others: tuple[Json, ...] = (
        {"root": "/ws", "mode": "r"},
        {"root": "/ws/sub/"},
        {"root": "/"},
        {"root": "/old", "revoked": True},
        {"root": "/soon", "expiresAt": NOON + timedelta(hours=1)},
        {"root": f"/ws/{NFC}"},
        {"root": "/ws/sub", "expiresAt": NOON, "mode": "rw"},
        {"root": "/old"},
    )
    if draw.chance(0.4) or not grants:
        grants += draw.some(others, 2)
    found: Json = {"grants": grants, "outputRoots": draw.some(("/ws/out", "/ws/sub/out", "/ws/OUT"), 1, 0)}
    if draw.chance(0.7):
        found["hostAllowlist"] = draw.some(ENTRIES, 3)
    connectors: tuple[Json, ...] = (
        {"id": "mail", "scopes": ["read", "send"], "allowActions": True},
        {"id": "mail", "scopes": ["read"]},
        {"id": "mail", "scopes": ["send"], "revoked": True},
        {"id": "crm", "scopes": ["read"], "allowActions": True, "expiresAt": NOON + timedelta(hours=1)},
    )
    found["connectors"] = [connectors[0], *draw.some(connectors, 2)] if draw.chance(0.8) else draw.some(connectors, 2)
    if draw.chance(0.2):
        found["protectedRoots"] = draw.some(("/ws/.cowork", "/ws/sub/b"), 1)
    if draw.chance(0.2):
        found["maxDepth"] = draw.one((0, 1, 2))
    return found


def frames(draw: Draw) -> list[Json]:
    """The session's frame and perhaps those of subagents in it."""
    found = []
    for number in range(draw.one((1, 1, 1, 2, 3))):
        layers = [
            {"name": f"layer{at}", "policy": document(draw)}
            for at in range(draw.one((1, 1, 2, 3) if number == 0 else (0, 1)))
        ]
        found.append({"scope": scope(draw), "layers": layers})
    return found


# Requests


def path(draw: Draw) -> str:
    """A path, now and then an odd one."""
    if draw.chance(0.06):
        return draw.one(ODD_PATHS)
    names = "/".join(draw.one(NAMES) for _ in range(draw.one((1, 1, 2, 3))))
    return f"{draw.one(ROOTS)}/{names}"


def places(draw: Draw, key: str, real_key: str) -> Json:
    """A path, perhaps with the real path behind it."""
    found: Json = {key: path(draw)}
    if draw.chance(0.15):
        found[real_key] = None if draw.chance(0.05) else path(draw)
    return found


def request(draw: Draw) -> Json:
    """A request in which every fact may be missing."""
    kind = draw.one(draw.kinds) if draw.chance(0.9) else draw.one(KINDS)
    found: Json = {"action": kind if not draw.chance(0.005) else "file.link"}
    family = kind.partition(".")[0]
    if family in {"file", "shell", "code"} or draw.chance(0.08):
        found |= places(draw, "path", "realPath")
    if kind in {"file.move", "file.rename"}:
        found |= places(draw, "toPath", "toRealPath")
    if family == "network":
        found["host"] = draw.one(HOSTS) if draw.chance(0.96) else draw.one(ODD_HOSTS)
        _maybe(draw, found, "method", METHODS)
    if family == "connector":
        _facts_of_a_connector(draw, found)
    if family == "shell" and draw.chance(0.8):
        found["commands"] = draw.some(COMMANDS, 2) if draw.chance(0.95) else []
    _facts_of_the_target(draw, found)
    if draw.chance(0.12):
        found["items"] = [_item(draw, kind) for _ in range(draw.one((1, 2, 2, 3)))] if draw.chance(0.97) else []
    for key, values, part in _FACTS:
        if draw.chance(part):
            found[key] = draw.one(values)
    if draw.chance(0.6):
        found["usage"] = {name: draw.one((0, 1, 2, None)) for name in LIMIT_IDS}
        found["cost"] = {unit: draw.one((0, 0.5, 2.5, None)) for unit in UNITS}
    return found


_FACTS: tuple[tuple[str, tuple[Any, ...], float], ...] = (
    ("labels", ([], ["web"], ["mail", "connector"], None), 0.3),
    ("depth", (0, 1, 2, None), 0.25),
    ("batchCount", (1, 2, 3, None), 0.1),
    ("now", TIMES, 0.7),
    ("session", ("s1", "s2"), 0.8),
    ("task", ("t1",), 0.5),
    ("workspace", ("/ws",), 0.5),
    ("caseInsensitivePaths", (True,), 0.12),
)


def _maybe(draw: Draw, found: Json, key: str, values: tuple[Any, ...]) -> None:
    if draw.chance(0.85):
        found[key] = draw.one(values) if draw.chance(0.9) else None


def _facts_of_a_connector(draw: Draw, found: Json) -> None:
    found["connector"] = draw.one(("mail", "mail", "mail", "crm", "drive"))
    if draw.chance(0.6):
        found["requiredScopes"] = draw.one((["read"], ["read"], ["read", "send"], [], None))
    _maybe(draw, found, "tool", TOOLS)
    if draw.chance(0.3):
        found["toolDigest"] = draw.one(("sha256:1", "sha256:2"))
    if draw.chance(0.8):
        found["annotations"] = {draw.one(HINTS): draw.one((True, False, False, "yes")) for _ in range(2)}
    if draw.chance(0.7):
        found["toolTrusted"] = draw.chance(0.8)


def _facts_of_the_target(draw: Draw, found: Json) -> None:
    _maybe(draw, found, "fileSizeBytes", (0, 100, 101, 5000))
    _maybe(draw, found, "targetExists", (True, False))
    _maybe(draw, found, "linkCount", (1, 2))


def _item(draw: Draw, kind: str) -> Json:
    found: Json = {}
    if draw.chance(0.8):
        found |= places(draw, "path", "realPath")
    if kind in {"file.move", "file.rename"} and draw.chance(0.8):
        found |= places(draw, "toPath", "toRealPath")
    if draw.chance(0.3):
        _facts_of_the_target(draw, found)
    if kind == "network.request" and draw.chance(0.7):
        found["host"] = draw.one(HOSTS)
        _maybe(draw, found, "method", METHODS)
    return found


# Approvals


def approvals(draw: Draw, asked: Json, decision: Json) -> list[Json]:
    """A few approvals that answer the question or miss it by a little."""
    return [_approval(draw, asked, decision, number) for number in range(draw.one((1, 2)))]


def _approval(draw: Draw, asked: Json, decision: Json, number: int) -> Json:
    rules, tags = list(decision["confirmRules"]), list(decision["riskTags"])
    if draw.chance(0.1):
        (rules if draw.chance(0.5) else tags).append("layer0:r0")
    for values in (rules, tags):
        if values and draw.chance(0.08):
            values.remove(draw.one(values))
    found: Json = {
        "id": f"ap{number}",
        "action": asked["action"] if draw.chance(0.95) else draw.one(KINDS),
        "ruleIds": rules,
        "riskTags": tags,
        "scope": draw.one(({"session": "s1"}, {"session": "s1"}, {"workspace": "/ws"}, {"task": "t1"}, {})),
        "includeSubagents": draw.chance(0.5),
    }
    if draw.chance(0.75):
        found["pathPrefix"] = draw.one(("/ws", "/ws", "/ws/", "/ws/sub", "/", "/ws/out", f"/ws/{NFC}"))
    if draw.chance(0.7):
        found["host"] = asked.get("host") if draw.chance(0.6) else draw.one(ENTRIES)
    commands = asked.get("commands")
    if commands and draw.chance(0.8):
        found["commandPrefix"] = commands[0][: draw.one((1, 2))]
    for key in ("tool", "connector", "toolDigest"):
        if asked.get(key) and draw.chance(0.9):
            found[key] = asked[key]
    if draw.chance(0.1):
        found["usesLeft"] = draw.one((0, 1))
    if draw.chance(0.1):
        found["expiresAt"] = draw.one(TIMES)
    if draw.chance(0.05):
        found["revoked"] = True
    return found
