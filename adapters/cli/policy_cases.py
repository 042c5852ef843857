"""Running cases: each is asked as `cowork policy evaluate` would be, and its answer held against the expected one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from ...domain.baseline import BASELINE, FLOOR
from ...domain.errors import DomainError
from ...domain.policy_case import CaseFile, RuleKey, decided_rules, is_as_expected
from ...domain.policy_decision import ReadyFrame, judge
from ...domain.policy_document import Layer
from ...domain.policy_frame import ReadyScope
from ...domain.policy_layer import ReadyLayer
from ...domain.policy_request import FrameScope, Request
from .policy_evaluate import reader
from .policy_lines import PolicyLines, PolicyReader

SHIPPED: Final[Mapping[str, Layer]] = {"baseline": BASELINE, "floor": FLOOR}
"""The documents that a file of cases may name without bringing them."""

_CASE_KEYS: Final = {
    "decide": ("frames", "request"),
    "discharge": ("frames", "request", "approvals"),
    "load": ("doc",),
    "origin-rules": ("policy", "facts"),
    "hash": ("doc",),
    "glob": ("pattern", "text"),
    "under": ("path", "root", "ci"),
    "host": ("entries", "host"),
}
_ABOUT: Final = ("id", "kind", "expect", "why")
"""What every case may have; `why` is a sentence for those who read it."""

_BARE: Final = {"load": "errors", "glob": "result", "under": "result", "host": "result"}
"""The kinds whose expected value is one field of the answer."""

_FACTS: Final = frozenset(field.encode_name for field in msgspec.structs.fields(Request))
_Line: TypeAlias = dict[str, Any]


class CaseResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A case and what came of it. `line` is where it begins in its file; `got` is left as the evaluator gave it."""

    file: str
    line: int
    id: str
    kind: str
    passed: bool
    expected: object
    got: object


class Ran(msgspec.Struct, frozen=True):
    """A case that was run, and the rules that decided something in it."""

    result: CaseResult
    decided: frozenset[RuleKey]


class CaseRunner:
    """Runs the cases of one file; its documents are loaded once."""

    def __init__(self, file: CaseFile, layers_of_files: Mapping[str, Layer]) -> None:
        self._file = file
        self._reader = reader()
        self._policies: dict[str, Any] = {name: json.loads(layer.source) for name, layer in SHIPPED.items()}
        self._policies |= {name: json.loads(layer.source) for name, layer in layers_of_files.items()}
        self._policies |= file.policies
        self._layers: dict[tuple[str, str], Layer] = {}
        self.documents: dict[str, Layer] = {}
        self._lines = PolicyLines(PolicyReader(self._layer, self._reader.errors))
        for name in (*layers_of_files, *file.policies):
            self._layer(self._policies[name], name)

    def run(self) -> Iterator[Ran]:
        """Run the cases in their order. Raises `DomainError` invalid for one that can't be asked."""
        seen: set[str] = set()
        for case in self._file.cases:
            line, expected = self._checked(case.value, f"`{self._file.path}`, line {case.line}", seen)
            answer = self._lines.evaluate_line(json.dumps(line))
            kind = line["kind"]
            got = answer[_BARE[kind]] if kind in _BARE and "error" not in answer else answer
            result = CaseResult(
                file=self._file.path,
                line=case.line,
                id=line["id"],
                kind=kind,
                passed="error" not in answer and is_as_expected(expected, got),
                expected=expected,
                got=got,
            )
            yield Ran(result, frozenset() if "error" in answer else self._decided(line, answer))

    # Reading a case

    def _checked(self, value: object, place: str, seen: set[str]) -> tuple[_Line, Any]:
        """Return a case as a line with its tables resolved, and what is expected."""
        if not isinstance(value, dict) or not isinstance(name := value.get("id"), str) or not name:
            raise DomainError("invalid", f"{place}: a case needs an `id`", "give each case a name of its own")
        if name in seen:
            raise DomainError("invalid", f"{place}: the case `{name}` is there already", "give each case its own name")
        seen.add(name)
        place = f"{place}: case `{name}`"
        kind = value.get("kind", "decide")
        if kind not in _CASE_KEYS:
            raise DomainError("invalid", f"{place}: `{kind}` is no kind", f"the kinds are {', '.join(_CASE_KEYS)}")
        known = (*_ABOUT, *_CASE_KEYS[kind])
        unknown = next((key for key in value if key not in known), None)
        if unknown is not None:
            raise DomainError("invalid", f"{place}: there is no key `{unknown}`", f"the keys are {', '.join(known)}")
        if "expect" not in value:
            raise DomainError("invalid", f"{place}: nothing is expected", "write `expect`")
        line = {key: part for key, part in value.items() if key not in ("expect", "why")} | {"kind": kind}
        return self._resolved(line, place), self._expected(value["expect"], kind, place)

    def _expected(self, expected: Any, kind: str, place: str) -> Any:
        """Return what is expected, unless it expects what no answer has."""
        if kind == "decide":
            if not isinstance(expected, dict) or not expected:
                raise DomainError("invalid", f"{place}: a decision is expected as a table", 'as { decision = "deny" }')
            unknown = next((key for key in expected if key not in DECISION_FIELDS), None)
            if unknown is not None:
                fields = ", ".join(DECISION_FIELDS)
                raise DomainError("invalid", f"{place}: no decision has `{unknown}`", f"it has {fields}")
        return expected

    def _resolved(self, line: _Line, place: str) -> _Line:
        match line["kind"]:
            case "decide" | "discharge":
                frames = line.get("frames")
                if not isinstance(frames, list):
                    raise DomainError("invalid", f"{place}: `frames` is not a list", "write what the request meets")
                request = line.get("request")
                facts = request if isinstance(request, dict) else {}
                unknown = next((key for key in facts if key not in _FACTS), None)
                if unknown is not None:
                    raise DomainError("invalid", f"{place}: no request has `{unknown}`", "mend the name of the fact")
                return line | {"frames": [self._frame(frame, place) for frame in frames]}
            case "origin-rules":
                return line | {"policy": self._policy(line.get("policy"), place)}
            case _:
                return line

    def _frame(self, frame: Any, place: str) -> _Line:
        if not isinstance(frame, dict) or set(frame) != {"scope", "layers"} or not isinstance(frame["layers"], list):
            hint = 'as { scope = "…", layers = ["…"] }'
            raise DomainError("invalid", f"{place}: a frame has a scope and a list of layers", hint)
        scope = frame["scope"]
        if isinstance(scope, str):
            if scope not in self._file.scopes:
                raise DomainError("invalid", f"{place}: there is no scope `{scope}`", "put it into the table `scopes`")
            scope = self._file.scopes[scope]
        return {"scope": scope, "layers": [self._layer_asked(layer, place) for layer in frame["layers"]]}

    def _layer_asked(self, layer: Any, place: str) -> _Line:
        if isinstance(layer, str):
            return {"name": layer, "policy": self._policy(layer, place)}
        if not isinstance(layer, dict) or set(layer) != {"name", "policy"}:
            raise DomainError("invalid", f"{place}: a layer is a name, or a name and a policy", "name a policy")
        return layer | {"policy": self._policy(layer["policy"], place)}

    def _policy(self, policy: Any, place: str) -> Any:
        if not isinstance(policy, str):
            return policy
        if policy not in self._policies:
            raise DomainError("invalid", f"{place}: there is no policy `{policy}`", "put it into the table `policies`")
        return self._policies[policy]

    # Coverage

    def _layer(self, value: object, name: str) -> Layer:
        """Return a document as a layer, loaded once; the floor's reserved ids are the engine's own."""
        key = (name, json.dumps(value))
        if key not in self._layers:
            shipped = next((one for one in SHIPPED.values() if json.loads(one.source) == value), None)
            if shipped is None:
                layer = self._reader.layer(value, name)
            else:
                layer = Layer(name, shipped.document, shipped.source)
            self._layers[key] = layer
            self.documents.setdefault(layer.digest, layer)
        return self._layers[key]

    def _decided(self, line: _Line, answer: _Line) -> frozenset[RuleKey]:
        if line["kind"] == "origin-rules":
            layer = self._layer(line["policy"], "origin")
            return frozenset() if answer["ruleId"] is None else frozenset([(layer.digest, answer["ruleId"])])
        if line["kind"] not in ("decide", "discharge"):
            return frozenset()
        frames = [
            ReadyFrame(
                ReadyScope(msgspec.convert(frame["scope"], FrameScope)),
                tuple(ReadyLayer(self._layer(one["policy"], one["name"])) for one in frame["layers"]),
            )
            for frame in line["frames"]
        ]
        return frozenset(decided_rules(judge(frames, msgspec.convert(line["request"], Request))))


DECISION_FIELDS: Final = (
    "decision",
    "requiresConfirmation",
    "ruleId",
    "layer",
    "reason",
    "riskTags",
    "byMissingFact",
    "confirmRules",
    "rememberable",
    "matched",
    "lost",
    "missingFacts",
)
"""What can be expected of a decision."""
