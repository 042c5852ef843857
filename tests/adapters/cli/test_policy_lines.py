"""Questions about policy as JSON lines: every case is answered as the cases say, and no line ends the stream."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.adapters.cli import policy_lines
from cowork.adapters.cli.policy_lines import PolicyLines, PolicyReader, evaluate
from cowork.adapters.policy_files.document import layer_of
from cowork.adapters.policy_files.finding import error_codes
from cowork.domain.policy_document import Layer

FILE = Path(__file__).parents[2] / "domain" / "policy_cases.json"
TABLES = json.loads(FILE.read_text(encoding="utf-8"))
COMMAND = [str(Path(sys.executable).with_name("cowork")), "policy", "evaluate"]
DENY: dict[str, Any] = {"version": "1.1", "defaults": {"fallback": "deny"}, "rules": []}
ASK: dict[str, Any] = {
    **DENY,
    "rules": [{"id": "r", "action": "file.*", "decision": "allow_with_confirm", "riskTags": ["z", "a"]}],
}
READ = {"action": "file.read", "path": "/ws/x"}


def resolved(case: dict[str, Any]) -> dict[str, Any]:
    """Return the case as a line: with the documents and scopes that it names."""
    line = {key: part for key, part in case.items() if key != "expect"}
    if "frames" in line:
        line["frames"] = [
            {
                "scope": TABLES["scopes"][frame["scope"]],
                "layers": [{"name": name, "policy": TABLES["policies"][name]} for name in frame["layers"]],
            }
            for frame in line["frames"]
        ]
    if "policy" in line:
        line["policy"] = TABLES["policies"][line["policy"]]
    return line


def asking(policy: object = None, request: object = None, scope: object = None, **more: Any) -> dict[str, Any]:
    """Return a question whether a file may be read under one layer."""
    return {
        "kind": "decide",
        "frames": [
            {
                "scope": {"grants": [{"root": "/ws"}]} if scope is None else scope,
                "layers": [{"name": "user", "policy": DENY if policy is None else policy}],
            }
        ],
        "request": READ if request is None else request,
        **more,
    }


@pytest.fixture
def lines() -> PolicyLines:
    return PolicyLines(PolicyReader(layer_of, error_codes))


def answer(lines: PolicyLines, question: object) -> dict[str, Any]:
    return lines.evaluate_line(json.dumps(question))


def run(text: str | bytes, **environment: str) -> list[dict[str, Any]]:
    """Return what the command answers to its standard input."""
    ended = subprocess.run(
        COMMAND,
        input=text.encode() if isinstance(text, str) else text,
        capture_output=True,
        check=True,
        env={**os.environ, **environment},
        timeout=60,
    )
    assert ended.stderr == b""
    return [json.loads(line) for line in ended.stdout.decode().splitlines()]


def disagreement(case: dict[str, Any], said: dict[str, Any]) -> object:
    """Return what is not as the case says; nothing where all is."""
    expected = case["expect"]
    match case["kind"]:
        case "load":
            return None if said == {"errors": expected} else said
        case "glob" | "under" | "host":
            return None if said == {"result": expected} else said
        case "discharge" | "origin-rules":
            return None if said == expected else said
        case _:
            wrong = {key: said.get(key, "absent") for key, value in expected.items() if said.get(key, "") != value}
            return wrong or None


def test_every_case_is_answered_as_it_says_by_the_real_command() -> None:
    said = run("".join(f"{json.dumps(resolved(case), ensure_ascii=False)}\n" for case in TABLES["cases"]))

    assert len(said) == len(TABLES["cases"]) > 200
    wrong = {
        case["id"]: found
        for case, one in zip(TABLES["cases"], said, strict=True)
        if (found := disagreement(case, one)) is not None
    }
    assert wrong == {}


def test_a_decision_has_all_its_keys(lines: PolicyLines) -> None:
    assert answer(lines, asking(ASK)) == {
        "decision": "allow_with_confirm",
        "requiresConfirmation": True,
        "ruleId": "r",
        "layer": "user",
        "reason": "rule `r` of `user`",
        "riskTags": ["a", "z"],
        "byMissingFact": False,
        "confirmRules": ["user:r"],
        "rememberable": True,
        "matched": ["user:r"],
        "lost": [],
        "missingFacts": [],
    }
    default = answer(lines, asking())
    assert (default["decision"], default["ruleId"], default["layer"]) == ("deny", None, "user")
    assert "file.read" in default["reason"]
    outside = answer(lines, asking(ASK, {"action": "file.read", "path": "/etc/x"}))
    assert (outside["ruleId"], outside["layer"]) == ("invariant.grant-scope", "invariant")
    nothing = answer(lines, {"kind": "decide", "frames": [], "request": READ})
    assert (nothing["decision"], nothing["ruleId"]) == ("deny", "invariant.no-policy")


def test_a_digest_is_that_of_the_value_and_not_of_its_spelling(lines: PolicyLines) -> None:
    one = lines.evaluate_line('{"kind": "hash", "doc": {"version": "1.0", "rules": [], "a": 1.0, "b": "\\u00fc"}}')
    other = lines.evaluate_line('{"kind":"hash","doc":{"b":"ü","a":1,"rules":[],"version":"1.0"}}')

    assert one == other
    assert set(one) == {"sha256", "origin"}
    assert all(len(digest) == 64 for digest in one.values())
    sample = {"version": "1.0", "defaults": {"fallback": "deny"}, "rules": []}
    assert answer(lines, {"kind": "hash", "doc": sample}) == {
        "sha256": sha256(b'{"defaults":{"fallback":"deny"},"rules":[],"version":"1.0"}').hexdigest(),
        "origin": sha256(b'{defaults:{fallback:"deny"},rules:[],version:"1.0"}').hexdigest(),
    }


# line, and what its error says
ODD_LINES: dict[str, tuple[str, str]] = {
    "no JSON": ("decide", "not JSON"),
    "cut off": ('{"kind": "decide"', "not JSON at its end"),
    "a list": ("[]", "expected `object`, got `array`"),
    "a number": ("1", "expected `object`, got `int`"),
    "no kind": ("{}", "missing required field `kind`"),
    "a kind of another kind": ('{"kind": []}', "expected `str`, got `array`"),
    "an unknown kind": ('{"kind": "decode"}', "the kinds are decide, discharge"),
    "no frames": ('{"kind": "decide", "request": {"action": "x"}}', "missing required field `frames`"),
    "no request": ('{"kind": "decide", "frames": []}', "missing required field `request`"),
    "no action": ('{"kind": "decide", "frames": [], "request": {}}', "missing required field `action`"),
    "no approvals": (json.dumps({**asking(), "kind": "discharge"}), "missing required field `approvals`"),
    "no document": ('{"kind": "load"}', "missing required field `doc`"),
    "NaN": ('{"kind": "hash", "doc": NaN}', "`NaN` is no number"),
    "infinity": ('{"kind": "hash", "doc": -1e999}', "`-Infinity` is no number"),
    "a number too large": ('{"kind": "hash", "doc": 9007199254740993}', "`9007199254740993` is too large"),
    "half of a character": ('{"kind": "hash", "doc": "\\ud800"}', "half of a character"),
    "a key given twice": ('{"kind": "hash", "doc": {"a": 1, "a": 2}}', "the key `a` is given twice"),
    "too deep": ('{"kind": "hash", "doc": ' + "[" * 100_000, "more than 64 deep"),
    "a path of another kind": (json.dumps(asking(None, {**READ, "path": 1})), "got `int` - at `$.request.path`"),
    "a time that is none": (json.dumps(asking(None, {**READ, "now": "noon"})), "at `$.request.now`"),
    "a time at the end of time": (
        json.dumps(asking(
            {**ASK, "rules": [{"id": "a", "action": "*", "decision": "deny",
            "when": {"timeWindow": {"tz": "Asia/Tokyo"}}}]},
            {**READ, "now": "9999-12-31T23:59:59Z"})),
        "can't be judged"),
    "a name for a scope": (json.dumps(asking(None, None, "ws")), "expected `object`, got `str`"),
    "a typo in a scope": (json.dumps(asking(None, None, {"grnts": []})), "unknown field `grnts`"),
    "a name for a layer": ('{"kind": "decide", "frames": [{"scope": {}, "layers": ["a"]}], "request": {"action": "x"}}',
                           "expected `object`, got `str`"),
    "a broken document": (json.dumps(asking({**DENY, "rules": [{"id": "x", "action": "*", "decison": "deny"}]})),
                          "the policy of layer `user`: rule `x`: `decison` is no key of a rule"),
    "no layer's name": (json.dumps({**asking(), "frames": [{"scope": {}, "layers": [{"name": "", "policy": DENY}]}]}),
                        "`` is no name of a layer"),
    "a reserved name": (json.dumps({**asking(), "frames": [
        {"scope": {}, "layers": [{"name": "invariant", "policy": DENY}]}]}), "`invariant` is no name of a layer"),
    "an entry of another kind": ('{"kind": "host", "entries": "a.com", "host": "a.com"}',
        "expected `array`, got `str`"),
    "a broken document of the origin": ('{"kind": "origin-rules", "policy": {}, "facts": {"action": "file.read"}}',
                                        "`version` is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_LINES)
def test_a_line_that_is_no_question_is_answered_with_one_sentence(name: str, lines: PolicyLines) -> None:
    line, says = ODD_LINES[name]

    said = lines.evaluate_line(line)

    assert list(said) == ["error"]
    assert says in said["error"]
    assert said["error"].isprintable()
    assert len(said["error"]) < 300
    assert said == lines.evaluate_line(line)
    assert answer(lines, asking())["decision"] == "deny"


def test_the_stream_goes_on_after_every_odd_line() -> None:
    good = json.dumps(asking(ASK)).encode()
    odd = [line.encode() for line, _ in ODD_LINES.values()]
    odd += [b'{"kind": "hash", "doc": "\xff"}', b"\xff\xfe", b"\x00", "\ufeff{}".encode(), b"}" * 1000]

    said = run(b"".join(b"%s\n\n  \r\n%s\r\n" % (line, good) for line in odd))

    assert len(said) == 2 * len(odd)
    assert all(list(one) == ["error"] for one in said[::2])
    assert all(one["decision"] == "allow_with_confirm" for one in said[1::2])


def test_the_last_line_needs_no_end_and_no_input_is_no_answer() -> None:
    assert run('{"kind": "glob", "pattern": "/a*", "text": "/ab"}') == [{"result": True}]
    assert run("") == run("\n \n") == []


def test_a_line_that_is_too_long_is_passed_over(
    lines: PolicyLines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(policy_lines, "LINE_BYTES_MAX", 200)
    glob = b'{"kind": "glob", "pattern": "/a*", "text": "/ab"}'

    for end in (b"\n" + glob + b"\n", b""):
        evaluate(io.BytesIO(glob + b"\n" + b'{"kind": "' + b"x" * 1000 + b'"}' + end), lines)

    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    error = {"error": "the line is longer than 200 bytes"}
    assert said == [{"result": True}, error, {"result": True}, {"result": True}, error]


def test_another_program_may_ask_and_wait_for_each_answer() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text, expected in (("/ws/a", True), ("/w", False), ("/ws/ü", True)):
            question = {"kind": "under", "path": text, "root": "/ws", "ci": False}
            process.stdin.write(f"{json.dumps(question, ensure_ascii=False)}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == {"result": expected}
        process.stdin.close()
        assert process.wait(20) == 0


def test_answers_are_the_same_in_every_locale() -> None:
    question = json.dumps(asking({**ASK, "rules": [{**ASK["rules"][0], "reason": "für ☃"}]}), ensure_ascii=False)

    for encoding in ("utf-8", "ascii", "latin-1"):
        assert run(question, PYTHONIOENCODING=encoding)[0]["reason"] == "für ☃"


def test_when_nobody_reads_the_answers_any_more_it_ends_quietly() -> None:
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write('{"kind": "x"}\n')
        process.stdin.flush()
        assert "error" in process.stdout.readline()
        process.stdout.close()
        process.stdin.write('{"kind": "x"}\n' * 50)
        process.stdin.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_a_document_is_read_and_compiled_once() -> None:
    read: list[str] = []

    def counting(value: object, name: str) -> Layer:
        read.append(name)
        return layer_of(value, name)

    lines = PolicyLines(PolicyReader(counting, error_codes))
    for _ in range(3):
        assert answer(lines, asking(ASK))["ruleId"] == "r"
        assert answer(lines, asking())["ruleId"] is None
    assert read == ["user", "user"]


def test_what_was_not_asked_for_lately_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_lines, "DOCUMENTS_KEPT_MAX", 2)
    read: list[str] = []

    def counting(value: object, name: str) -> Layer:
        read.append(name)
        return layer_of(value, name)

    lines = PolicyLines(PolicyReader(counting, error_codes))
    for name in ("a", "b", "a", "c", "a", "b"):
        frame = {"scope": {}, "layers": [{"name": name, "policy": DENY}]}
        answer(lines, {"kind": "decide", "frames": [frame], "request": READ})
    assert read == ["a", "b", "c", "b"]


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("/ws/a", "/ws/", True),
        ("/ws//a/.", "//ws/.", True),
        ("/ws/../etc", "/ws", False),
        ("/ws/a", "/ws/../ws", False),
        ("ws/a", "ws", False),
        ("/ws", "/ws/a", False),
        ("/wsx", "/ws", False),
        ("/ws\x00/a", "/ws", False),
    ],
)
def test_a_path_lies_under_a_root_in_every_spelling_or_not_at_all(
    path: str, root: str, expected: bool, lines: PolicyLines
) -> None:
    assert answer(lines, {"kind": "under", "path": path, "root": root}) == {"result": expected}


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(), st.text(max_size=5),
        st.sampled_from(["/ws/x", "/", "..", "a.com", "[::1]:0", "file.read", "shell.exec", "2026-01-01T00:00:00Z",
                         "0001-01-01T00:00:00+23:59", "\ud800", "ß", "xn--", "1.1", "127.1"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["path", "root", "kind", "scope", "id", "layers", "grants", "items", "now", "host", "x"]),
            inner, max_size=4),
    ),
    max_leaves=12,
)  # fmt: skip


def with_oddity(value: Any, draw: Callable[[int], int]) -> dict[str, Any]:
    """Return a question out of the cases, with the value somewhere in it."""
    question: dict[str, Any] = json.loads(json.dumps(resolved(TABLES["cases"][draw(len(TABLES["cases"]))])))
    at: Any = question
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = keys[draw(len(keys))]
        if not isinstance(at[key], dict | list) or not at[key] or draw(3) == 0:
            at[key] = value
            return question
        at = at[key]


@given(st.data())
@settings(max_examples=1200)
def test_no_line_whatsoever_makes_it_fail(data: st.DataObject) -> None:
    value = data.draw(VALUES)
    question = with_oddity(value, lambda count: data.draw(st.integers(0, count - 1)))

    for line in (json.dumps(question), json.dumps(value), json.dumps({"kind": "hash", "doc": value})):
        said = SHARED.evaluate_line(line)
        assert said
        json.dumps(said).encode("ascii")
        assert said.get("decision", "deny") in ("allow", "allow_with_confirm", "deny")


@given(st.text(max_size=30))
@settings(max_examples=300)
def test_no_text_whatsoever_makes_it_fail(text: str) -> None:
    assert SHARED.evaluate_line(text)


SHARED = PolicyLines(PolicyReader(layer_of, error_codes))
