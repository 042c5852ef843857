"""`cowork policy evaluate`: questions about policy as JSON lines, one answer for each, in order.

A line is an object with a `kind`: decide, discharge, load, origin-rules, hash, glob, under or host. What can't be
answered is answered with an `error`, and the stream goes on, so that another program can keep it open and ask.
"""

import json
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, BinaryIO, Final, NamedTuple, TypeVar

import msgspec

from ...domain.canonical_json import canonical_json, origin_digest, sha256_of
from ...domain.errors import DomainError
from ...domain.json_text import TextError, parse_json
from ...domain.policy_approval import Approval, find_approval
from ...domain.policy_decision import INVARIANT, Judgement, ReadyFrame, judge
from ...domain.policy_document import Layer
from ...domain.policy_frame import ReadyScope
from ...domain.policy_glob import glob_matches
from ...domain.policy_host import is_listed, parse_host
from ...domain.policy_layer import ReadyLayer
from ...domain.policy_origin import OriginFacts, origin_answer
from ...domain.policy_place import in_form, is_absolute, is_under, spellings, tidy
from ...domain.policy_request import FrameScope, Request
from ...domain.policy_risk import tags_of_request
from . import output

LINE_BYTES_MAX: Final = 16 * 1024 * 1024
"""The longest line that is read; of a longer one the rest is skipped."""

DOCUMENTS_KEPT_MAX: Final = 256
"""How many documents and scopes are kept ready for the next line."""

Answer = dict[str, Any]
_Key = TypeVar("_Key", bound=Hashable)
_Made = TypeVar("_Made")


class PolicyReader(NamedTuple):
    """How documents that come as values are read: the policy file adapter's part.

    `layer` returns a document under a layer's name or raises `DomainError`; `errors` returns the codes of its mistakes.
    """

    layer: Callable[[object, str], Layer]
    errors: Callable[[object], Sequence[str]]


class _Line(msgspec.Struct, frozen=True):
    """What every line has; more keys than a kind knows are let be, so that a test case is a line."""

    kind: str


class _LayerAsked(msgspec.Struct, frozen=True):
    name: str
    policy: Any


class _FrameAsked(msgspec.Struct, frozen=True):
    scope: dict[str, Any]
    layers: list[_LayerAsked]


class _Decide(msgspec.Struct, frozen=True):
    frames: list[_FrameAsked]
    request: Request


class _Discharge(msgspec.Struct, frozen=True):
    frames: list[_FrameAsked]
    request: Request
    approvals: list[Approval]


class _Document(msgspec.Struct, frozen=True):
    doc: Any


class _OriginRules(msgspec.Struct, frozen=True):
    policy: Any
    facts: OriginFacts


class _Glob(msgspec.Struct, frozen=True):
    pattern: str
    text: str


class _Under(msgspec.Struct, frozen=True):
    path: str
    root: str
    ci: bool = False


class _Host(msgspec.Struct, frozen=True):
    entries: list[str]
    host: str


class PolicyLines:
    """Answers lines. What it has read and compiled for one line is ready for the next."""

    def __init__(self, reader: PolicyReader) -> None:
        self._reader = reader
        self._layers = _Kept[tuple[str, bytes], ReadyLayer]()
        self._scopes = _Kept[bytes, ReadyScope]()
        self._kinds: dict[str, tuple[type[Any], Callable[[Any], Answer]]] = {
            "decide": (_Decide, self._decide),
            "discharge": (_Discharge, self._discharge),
            "load": (_Document, self._load),
            "origin-rules": (_OriginRules, self._origin_rules),
            "hash": (_Document, _hash),
            "glob": (_Glob, _glob),
            "under": (_Under, _under),
            "host": (_Host, _host),
        }

    def evaluate_line(self, line: str) -> Answer:
        """Return the answer to a line; for what can't be answered `{"error": sentence}`. Raises nothing."""
        try:
            value = parse_json(line)
            asked = self._kinds.get(msgspec.convert(value, _Line).kind)
            if asked is None:
                raise DomainError("invalid", f"the kinds are {', '.join(self._kinds)}, not `{value['kind']}`")
            shape, answer = asked
            return answer(msgspec.convert(value, shape))
        except TextError as fault:
            return {"error": fault.message}
        except DomainError as error:
            return {"error": error.message}
        except msgspec.ValidationError as error:
            return {"error": f"the line is no question: {_lower(str(error))}"}
        except OverflowError as error:
            # A time at the end of the calendar has no equal in another zone.
            return {"error": f"the line can't be judged: {_lower(str(error))}"}

    def _frames(self, asked: Sequence[_FrameAsked]) -> list[ReadyFrame]:
        return [
            ReadyFrame(self._scope(frame.scope), tuple(self._layer(layer) for layer in frame.layers)) for frame in asked
        ]

    def _scope(self, value: dict[str, Any]) -> ReadyScope:
        return self._scopes.get(msgspec.json.encode(value), lambda: ReadyScope(msgspec.convert(value, FrameScope)))

    def _layer(self, asked: _LayerAsked) -> ReadyLayer:
        if not asked.name or asked.name == INVARIANT:
            raise DomainError("invalid", f"`{asked.name}` is no name of a layer")
        key = (asked.name, msgspec.json.encode(asked.policy))
        return self._layers.get(key, lambda: ReadyLayer(self._reader.layer(asked.policy, asked.name)))

    def _decide(self, asked: _Decide) -> Answer:
        judgement = judge(self._frames(asked.frames), asked.request)
        return {
            "decision": judgement.verdict,
            "requiresConfirmation": judgement.verdict == "allow_with_confirm",
            "ruleId": None if judgement.by_default else judgement.rule_id,
            "layer": judgement.layer,
            "reason": judgement.reason(),
            "riskTags": _risk_tags(asked.request, judgement),
            "byMissingFact": judgement.by_missing_fact,
            "confirmRules": [rule for rule, _ in judgement.asking()],
            "rememberable": judgement.rememberable,
            "matched": judgement.matched(),
            "lost": [{"rule": one.rule, "why": one.why} for one in judgement.lost()],
            "missingFacts": judgement.missing_facts(),
        }

    def _discharge(self, asked: _Discharge) -> Answer:
        judgement = judge(self._frames(asked.frames), asked.request)
        tags = _risk_tags(asked.request, judgement)
        approval = find_approval(asked.approvals, asked.request, judgement, tags)
        return {"approval": None if approval is None else approval.id}

    def _load(self, asked: _Document) -> Answer:
        return {"errors": list(self._reader.errors(asked.doc))}

    def _origin_rules(self, asked: _OriginRules) -> Answer:
        decision, rule_id = origin_answer(self._reader.layer(asked.policy, "origin").document, asked.facts)
        return {"decision": decision, "ruleId": rule_id}


def evaluate(stdin: BinaryIO, lines: PolicyLines) -> None:
    """Answer every line of the input on standard output, until the input ends. Blank lines are passed over."""
    at_once = not _is_file(stdin)
    while raw := stdin.readline(LINE_BYTES_MAX + 1):
        if len(raw) > LINE_BYTES_MAX:
            while raw and not raw.endswith(b"\n"):
                raw = stdin.readline(LINE_BYTES_MAX)
            answer: Answer = {"error": f"the line is longer than {LINE_BYTES_MAX} bytes"}
        elif not raw.strip():
            continue
        else:
            try:
                answer = lines.evaluate_line(raw.decode().strip())
            except UnicodeDecodeError as error:
                odd = raw[error.start : error.start + 1].hex()
                answer = {"error": f"the line is not UTF-8 text: byte `{odd}` at {error.start}"}
        # Escaped to ASCII, so that it is the same in every encoding that a terminal or a pipe may have.
        output.line(json.dumps(answer))
        if at_once:
            output.flush()
    output.flush()


def _is_file(stream: BinaryIO) -> bool:
    """Whether the input is a file: then nobody waits for an answer before asking the next question."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:
        return False


def _risk_tags(request: Request, judgement: Judgement) -> list[str]:
    return sorted(tags_of_request(request) | judgement.rule_tags)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


# What needs no document ---------------------------------------------------------------------------------------------


def _hash(asked: _Document) -> Answer:
    return {"sha256": sha256_of(canonical_json(asked.doc)), "origin": origin_digest(asked.doc)}


def _glob(asked: _Glob) -> Answer:
    return {"result": glob_matches(asked.pattern, asked.text)}


def _under(asked: _Under) -> Answer:
    """Whether the path lies under the root in every spelling; one that is not absolute lies nowhere."""
    if not is_absolute(asked.path) or not is_absolute(asked.root):
        return {"result": False}
    root = tidy(asked.root)
    return {"result": all(is_under(path, in_form(root, form)) for form, path in spellings(asked.path, asked.ci))}


def _host(asked: _Host) -> Answer:
    host = parse_host(asked.host)
    return {"result": "invalid" if host is None else is_listed(host, asked.entries)}


class _Kept(OrderedDict[_Key, _Made]):
    """What was made last, by what it was made of; the least lately used goes first."""

    def get(self, key: _Key, make: Callable[[], _Made]) -> _Made:  # type: ignore[override]
        """Return what was made of the key, made now where it is not there."""
        if key in self:
            self.move_to_end(key)
            return self[key]
        made = self[key] = make()
        if len(self) > DOCUMENTS_KEPT_MAX:
            self.popitem(last=False)
        return made
