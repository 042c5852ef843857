"""Claims about a policy as text, and the same as a rule: what a claim is about is what the rule matches.

A claim: `no ACTION [WHERE …] [without confirm]`. Without its last two words it says that the action is always denied
there, with them that it is never allowed without asking. ACTION is a kind or a glob over kinds (`file.write`,
`file.*`). WHERE, any number of times:

- `inside PLACE`, `outside PLACE`: PLACE is `outputRoots`, `grants`, or an absolute path (the folder and what lies in
  it), or an absolute pattern;
- `matching PATTERN`: paths that a pattern (`**/.env*`) matches;
- `to HOST`: a host, or an entry as in `hostMatches` (`*.example.com`, `example.com:*`);
- `through CONNECTOR`;
- `when FLAG`, `when not FLAG`: tainted, hidden, sensitive, executed, crossRoot, targetExists, hardLink,
  hostInAllowlist.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from .action import ActionKind
from .errors import DomainError
from .policy_column import Row, can_match
from .policy_document import Conditions, PolicyDocument, Rule, kinds_named
from .policy_document import layer as layer_of
from .policy_host import parse_entry
from .policy_layer import DENY, ReadyLayer
from .policy_request import FrameScope, Request
from .policy_witness import judged

FORMS: Final = (
    "no ACTION [inside|outside outputRoots|grants|PATH] [matching PATTERN] [to HOST] [through CONNECTOR] "
    "[when [not] FLAG] [without confirm]"
)
FLAGS: Final[dict[str, str]] = {
    "tainted": "tainted",
    "hidden": "hidden",
    "sensitive": "sensitive",
    "executed": "executed",
    "crossRoot": "cross_root",
    "targetExists": "target_exists",
    "hardLink": "hard_link",
    "hostInAllowlist": "host_in_allowlist",
}


class Claim(msgspec.Struct, frozen=True):
    """A claim that was read: the rule that matches what it is about, and whether asking a person is good enough."""

    text: str
    rule: Rule
    may_ask: bool

    @property
    def kinds(self) -> tuple[ActionKind, ...]:
        """The kinds that the claim can be about."""
        return kinds_met(self.rule)


def kinds_met(rule: Rule) -> tuple[ActionKind, ...]:
    """Return the kinds that can match a rule."""
    return tuple(kind for kind in kinds_named(rule.actions) if can_match(Row(0, rule.when), kind))


def parse_claim(text: str) -> Claim:
    """Return the claim that a text makes. Raises `DomainError` invalid, which names the word and the forms."""
    words = text.split()
    if len(words) < 2 or words[0] != "no":
        raise _malformed(words[0] if words else "", "a claim begins with `no ACTION`")
    action, rest = words[1], iter(words[2:])
    if not kinds_named((action,)):
        raise _malformed(action, "that is no action, nor a glob that names one")
    parts = _Parts()
    may_ask = False
    for word in rest:
        if may_ask:
            raise _malformed(word, "`without confirm` ends a claim")
        if word == "without":
            if (after := _next(rest, word)) != "confirm":
                raise _malformed(after, "`without` goes with `confirm`")
            may_ask = True
        else:
            parts.read(word, rest)
    rule = Rule(id="claim", action=action, decision="deny", when=parts.conditions(), unless=tuple(parts.unless))
    if not kinds_met(rule):
        raise _malformed(action, "what the claim asks about does not go with this action")
    return Claim(" ".join(words), rule, may_ask)


class _Parts:
    """The conditions of a claim, read word by word."""

    def __init__(self) -> None:
        self._said: dict[str, object] = {}
        self.unless: list[Conditions] = []

    def conditions(self) -> Conditions:
        return msgspec.structs.replace(Conditions(), **self._said)

    def read(self, word: str, rest: Iterator[str]) -> None:
        match word:
            case "inside" | "outside":
                self._read_place(_next(rest, word), is_inside=word == "inside")
            case "matching":
                self._say("matches_pattern", (_pattern(_next(rest, word)),), word)
            case "to":
                host = _next(rest, word)
                if parse_entry(host) is None:
                    raise _malformed(host, "that is neither a host nor an entry of a list of hosts")
                self._say("host_matches", (host,), word)
            case "through":
                self._say("connector_in", (_next(rest, word),), word)
            case "when":
                flag = _next(rest, word)
                is_wanted = flag != "not"
                flag = flag if is_wanted else _next(rest, flag)
                if flag not in FLAGS:
                    raise _malformed(flag, f"the flags are {', '.join(FLAGS)}")
                self._say(FLAGS[flag], is_wanted, flag)
            case _:
                raise _malformed(word, "no form has this word here")

    def _read_place(self, place: str, *, is_inside: bool) -> None:
        if place == "outputRoots":
            self._say("path_within_output_root", is_inside, place)
        elif place == "grants":
            self._say("path_within_grant", is_inside, place)
        elif is_inside:
            self._say("matches_pattern", _folder(place), place)
        else:
            self._said.setdefault("path_within_grant", True)
            self.unless.append(Conditions(matches_pattern=_folder(place)))

    def _say(self, field: str, value: object, word: str) -> None:
        if field in self._said:
            raise _malformed(word, "that was said already")
        self._said[field] = value


def _folder(place: str) -> tuple[str, ...]:
    """Return the patterns of a place: a path stands for the folder and everything in it."""
    pattern = _pattern(place)
    if "*" in pattern:
        return (pattern,)
    return ("/", "/**") if pattern == "/" else (pattern.rstrip("/"), f"{pattern.rstrip('/')}/**")


def _pattern(text: str) -> str:
    if not text.startswith(("/", "*")):
        raise _malformed(text, "a path or pattern is absolute, or begins with `**`")
    return text


def _next(words: Iterator[str], before: str) -> str:
    following = next(words, None)
    if following is None:
        raise _malformed(before, "something has to follow it")
    return following


def _malformed(word: str, why: str) -> DomainError:
    return DomainError("invalid", f"the claim can't be read at `{word}`: {why}", f"the form is: {FORMS}")


class Probe:
    """Tells whether a request is what a claim is about: the evaluator is asked, with the rule and nothing else."""

    def __init__(self, rule: Rule) -> None:
        self._layers = [ReadyLayer(layer_of("claim", PolicyDocument(rules=(_denying(rule), _ALLOWING))))]

    def is_about(self, request: Request, scope: FrameScope) -> bool:
        """Whether the rule matches the request."""
        judgement = judged(self._layers, request, scope)
        return judgement.broken is None and judgement.level == DENY and not judgement.by_missing_fact


_ALLOWING: Final = Rule(id="rest", action="*", decision="allow")


def _denying(rule: Rule) -> Rule:
    return msgspec.structs.replace(rule, decision="deny", mode="enforce")
