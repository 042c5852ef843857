"""The conditions of the naive evaluator: three-valued, one function per subject, one regular expression per glob."""

import math
import re
import unicodedata
from datetime import datetime, timedelta
from functools import cache, cached_property
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any
from zoneinfo import ZoneInfo

import idna

from cowork.domain.places import EXECUTED, SENSITIVE

Json = dict[str, Any]
State = bool | None

FILES = {
    "file.list",
    "file.search",
    "file.read",
    "file.write",
    "file.create",
    "file.rename",
    "file.move",
    "file.delete",
}
MOVES = {"file.move", "file.rename"}
CONNECTORS = {"connector.read", "connector.action"}
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Facts:
    """One atom of a request as one frame sees it."""

    def __init__(self, request: Json, atom: Json, scope: Json) -> None:
        self.request = request
        self.part: Json = atom["part"]
        self.place = atom["place"]
        self.ends = atom["ends"]
        self.command = atom["command"]
        self.scope = scope
        self.folded = bool(request.get("caseInsensitivePaths", False))
        self.now = instant(request.get("now"))

    def forms(self, end: tuple[str, str]) -> list[tuple[str, str]]:
        """Every spelling of a path and of its real path, each under the name of its form."""
        return [form for path in end for form in forms_of(path, self.folded)]

    @cached_property
    def live_grants(self) -> list[Json]:
        return [grant for grant in self.scope.get("grants", ()) if is_live(grant, self.now)]


def instant(value: Any) -> datetime | None:
    """The instant that a fact or an expiry names; a time without a zone names none."""
    found: datetime | None = datetime.fromisoformat(value) if isinstance(value, str) else value
    return None if found is None or found.tzinfo is None else found


def is_live(grant: Json, now: datetime | None) -> bool:
    """Whether a grant is in force; with an expiry and no clock it is not."""
    expiry = instant(grant.get("expiresAt"))
    return not grant.get("revoked", False) and (expiry is None or (now is not None and now < expiry))


# Paths


@cache
def tidy(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part not in {"", "."})


@cache
def in_form(text: str, form: str) -> str:
    if form == "nfc":
        return unicodedata.normalize("NFC", text)
    if form == "folded":
        return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return text


@cache
def forms_of(path: str, folded: bool) -> list[tuple[str, str]]:
    """A path as written, with `/` for each backslash, and both normalised; only folded where the volume folds."""
    slashed = path.replace("\\", "/")
    if folded:
        return [("folded", in_form(tidy(slashed), "folded"))]
    spelled = [(form, in_form(tidy(text), form)) for form in ("written", "nfc") for text in (path, slashed)]
    return list(dict.fromkeys(spelled))


def is_under(path: str, root: str) -> bool:
    return path == root or path.startswith(root if root == "/" else root + "/")


@cache
def root_in(root: str, form: str) -> str:
    return in_form(tidy(root), form)


@cache
def glob_regex(pattern: str, form: str) -> re.Pattern[str]:
    text = in_form(pattern.replace("\\", "/"), form)
    parts = re.split(r"(\*\*|\*)", text)
    written = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(written.get(part) or re.escape(part) for part in parts), re.DOTALL)


def agree(answers: list[bool]) -> State:
    """What all spellings say; unknown where they differ."""
    return True if all(answers) else None if any(answers) else False


def _pattern_state(patterns: list[str], spelled: list[tuple[str, str]]) -> State:
    return agree([any(glob_regex(pattern, form).fullmatch(path) for pattern in patterns) for form, path in spelled])


def _extension_state(extensions: list[str], spelled: list[tuple[str, str]]) -> State:
    names = [path.rpartition("/")[2].lower() for _, path in spelled]
    return agree([any(name.endswith(ending.lower()) for ending in extensions) for name in names])


def _below_root(facts: Facts, form: str, path: str) -> str:
    """The path below the innermost granted folder that holds it."""
    roots = [root_in(grant["root"], form) for grant in facts.live_grants]
    holding = [root for root in roots if is_under(path, root)]
    return path[len(max(holding, key=len)) :] if holding else path


def _has_hidden_name(path: str) -> bool:
    return any(name.startswith(".") for name in path.split("/"))


_IGNORABLE = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x3164, 0xFFA0}
_IGNORABLE |= {*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)}


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf"} or ord(character) in _IGNORABLE


def _forgiving(name: str) -> str:
    for _ in range(2):
        name = "".join(c for c in unicodedata.normalize("NFKC", name) if not _is_invisible(c))
        name = name.casefold().upper().casefold()
    name = name.replace("i\u0307", "i")
    return name.rstrip(". ") or name


@cache
def _is_on_list(path: str, entries: tuple[str, ...]) -> bool:
    parts = [_forgiving(part) for part in path.split("/") if part]
    for entry in entries:
        wanted = [glob_regex(name, "written") for name in entry.removesuffix("/.").split("/")]
        last = len(parts) - len(wanted)
        for at in range(last if entry.endswith("/.") and last >= 0 else 0, last + 1):
            if all(regex.fullmatch(part) for regex, part in zip(wanted, parts[at:], strict=False)):
                return True
    return False


def common_root(facts: Facts) -> State:
    """Whether one granted folder holds both ends of a move, for every spelling of both."""
    answers = []
    for form, path in facts.forms(facts.ends[0]):
        for other_form, other in facts.forms(facts.ends[1]):
            answers.append(
                any(
                    is_under(path, root_in(grant["root"], form)) and is_under(other, root_in(grant["root"], other_form))
                    for grant in facts.live_grants
                )
            )
    return agree(answers)


# Hosts


@cache
def host_of(text: str) -> tuple[str, int | None, bool] | None:
    """Name, port and whether the name is an address; None where the text is no host."""
    name, port_text = text, None
    if text.startswith("["):
        parts = re.fullmatch(r"(\[[^]]*\])(?::(.*))?", text, re.DOTALL)
        if parts is None:
            return None
        name, port_text = parts[1], parts[2]
    elif ":" in text:
        name, _, port_text = text.rpartition(":")
    port = None
    if port_text is not None:
        if not re.fullmatch("[0-9]{1,5}", port_text) or not 1 <= int(port_text) <= 65535:
            return None
        port = int(port_text)
    if name.startswith("["):
        try:
            address = IPv6Address(name[1:-1])
            mapped = address.ipv4_mapped is not None
            return None if "%" in name or mapped else (f"[{address.compressed}]", port, True)
        except AddressValueError:
            return None
    plain = _plain_name(name)
    if plain is None:
        return None
    last = plain.rpartition(".")[2]
    if not re.fullmatch("[0-9]+|0x[0-9a-f]*", last):
        return plain, port, False
    try:
        return str(IPv4Address(plain)), port, True
    except AddressValueError:
        return None


def _plain_name(name: str) -> str | None:
    try:
        plain = name.lower() if name.isascii() else idna.encode(name, uts46=True, std3_rules=True).decode()
    except idna.IDNAError:
        return None
    plain = plain.removesuffix(".")
    labels = plain.split(".")
    if len(plain) > 253 or not all(re.fullmatch("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label) for label in labels):
        return None
    if any(label.startswith("xn--") for label in labels):
        try:
            for label in labels:
                idna.decode(label)
        except idna.IDNAError:
            return None
    return plain


def host_listed(entries: list[str], host: str) -> bool:
    """Whether one of the entries is about the host, which is a valid one."""
    found = host_of(host)
    assert found is not None
    name, port, is_address = found
    for entry in entries:
        below = entry.startswith("*.")
        any_port = entry.endswith(":*")
        wanted = host_of(entry.removeprefix("*.").removesuffix(":*"))
        if wanted is None:
            continue
        if not any_port and (port != wanted[1] if wanted[1] is not None else port not in {None, 80, 443}):
            continue
        if (name.endswith("." + wanted[0]) and not is_address) if below else name == wanted[0]:
            return True
    return False


# Commands, tools, hints, windows


def command_state(patterns: list[Any], command: list[str] | None) -> State:
    """Whether a pattern is a prefix of the command's tokens; unknown where only the program's folder differs."""
    if not command:
        return None
    states = [_prefix_state(list(pattern), command) for pattern in patterns]
    return True if True in states else None if None in states else False


def _prefix_state(pattern: list[Any], command: list[str]) -> State:
    if len(pattern) > len(command):
        return False
    wanted = [[token] if isinstance(token, str) else list(token) for token in pattern]
    if not all(token in allowed for token, allowed in zip(command[1:], wanted[1:], strict=False)):
        return False
    if command[0] in wanted[0]:
        return True
    return None if command[0].rpartition("/")[2] in {name.rpartition("/")[2] for name in wanted[0]} else False


def hint_state(wanted: Json, part: Json) -> State:
    """Whether a tool's hints are as wanted; hints of a server that is not trusted say nothing."""
    hints = part.get("annotations")
    if part.get("toolTrusted") is not True or not isinstance(hints, dict):
        return None
    presumed = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
    answers = []
    for name, want in wanted.items():
        said = hints.get(name, presumed[name])
        answers.append(said == want if isinstance(said, bool) else None)
    return False if False in answers else None if None in answers else True


def window_state(window: Json, now: datetime | None) -> State:
    """Whether the window is open at the instant."""
    if now is None:
        return None
    if window.get("notBefore") and now < datetime.fromisoformat(window["notBefore"]):
        return False
    if window.get("notAfter") and now >= datetime.fromisoformat(window["notAfter"]):
        return False
    local = now.astimezone(ZoneInfo(window.get("tz", "UTC")))
    begin, end = _minutes(window.get("from", "00:00")), _minutes(window.get("to", "24:00"))
    minute = local.hour * 60 + local.minute
    today, yesterday = DAYS[local.weekday()], DAYS[(local - timedelta(days=1)).weekday()]
    days = window.get("days", DAYS)
    if begin <= end:
        return today in days and begin <= minute < end
    return (today in days and minute >= begin) or (yesterday in days and minute < end)


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


# Conditions


def clause_holds(clause: Json, kind: str, facts: Facts) -> State:
    """Whether every condition of the clause holds: false beats unknown, unknown beats true."""
    unknown = False
    for key, wanted in clause.items():
        state = condition_state(key, wanted, kind, facts)
        if state is False:
            return False
        unknown = unknown or state is None
    return None if unknown else True


def condition_state(key: str, wanted: Any, kind: str, facts: Facts) -> State:
    """Whether one condition holds for the atom in the frame."""
    if wanted == []:
        return False
    if key in {"pathWithinGrant", "pathWithinOutputRoot", "hidden", "sensitive", "executed"}:
        if facts.place is None:
            return False
        return _same(_place_flag(key, facts), wanted)
    if key in {"matchesPattern", "extensionIn"}:
        if facts.place is None:
            return False
        spelled = facts.forms(facts.place)
        return _pattern_state(wanted, spelled) if key == "matchesPattern" else _extension_state(wanted, spelled)
    if key in {"tainted", "taintIn"}:
        labels = facts.request.get("labels", [])
        if labels is None:
            return None
        return bool(labels) == wanted if key == "tainted" else any(label in wanted for label in labels)
    if key == "subagentDepthGreaterThan":
        return _more(facts.request.get("depth", 0), wanted)
    if key == "batchCountGreaterThan":
        return _more(facts.request.get("batchCount", len(facts.request.get("items", [0]))), wanted)
    if key == "timeWindow":
        return window_state(wanted, facts.now)
    return _state_of_kind(key, wanted, kind, facts)


def _same(state: State, wanted: bool) -> State:
    return None if state is None else state == wanted


def _place_flag(key: str, facts: Facts) -> State:
    spelled = facts.forms(facts.place)
    if key == "pathWithinGrant":
        return agree([any(is_under(p, root_in(g["root"], f)) for g in facts.live_grants) for f, p in spelled])
    if key == "pathWithinOutputRoot":
        return agree([any(is_under(p, root_in(r, f)) for r in facts.scope.get("outputRoots", ())) for f, p in spelled])
    below = [_below_root(facts, form, path) for form, path in spelled]
    if key == "hidden":
        return agree([_has_hidden_name(path) for path in below])
    return agree([_is_on_list(path, SENSITIVE if key == "sensitive" else EXECUTED) for path in below])


def _more(value: Any, bound: float) -> State:
    return None if value is None or math.isnan(value) else value > bound


def _state_of_kind(key: str, wanted: Any, kind: str, facts: Facts) -> State:
    """The conditions that are about some kinds of action only, and false of all others."""
    part = facts.part
    if key == "fileSizeGreaterThan" and kind in FILES | CONNECTORS | {"network.request"}:
        return _more(part.get("fileSizeBytes"), wanted)
    if key == "targetExists" and kind in FILES:
        return _same(part.get("targetExists"), wanted)
    if key == "hardLink" and kind in FILES:
        return _same(_more(part.get("linkCount"), 1), wanted)
    if key == "crossRoot" and kind in MOVES:
        return _same(common_root(facts), not wanted)
    if key == "commandPrefix" and kind == "shell.exec":
        return command_state(wanted, facts.command)
    if kind == "network.request":
        if key == "hostInAllowlist":
            return _same(host_listed(facts.scope.get("hostAllowlist", []), part["host"]), wanted)
        if key == "hostMatches":
            return host_listed(wanted, part["host"])
        if key == "methodIn":
            method = part.get("method")
            return None if method is None else method.upper() in {one.upper() for one in wanted}
    if kind in CONNECTORS:
        if key == "connectorScopeAllowed":
            # What is done without its scopes has been refused before any rule.
            return _same(True, wanted)
        if key == "connectorIn":
            return part["connector"] in wanted
        if key == "toolMatches":
            tool = part.get("tool")
            return None if tool is None else any(_tool_regex(pattern).fullmatch(tool) for pattern in wanted)
        if key == "toolHint":
            return hint_state(wanted, part)
    return False


@cache
def _tool_regex(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
