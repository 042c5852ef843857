"""Whatever a document is made of, its mistakes are told: nothing that a file can hold makes the checks fail."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cowork.adapters.policy_files.document import layer_of, load_layer, sentence_of
from cowork.adapters.policy_files.finding import error_codes, find_errors
from cowork.adapters.policy_files.toml_text import parse_toml, toml_places
from cowork.domain.errors import DomainError
from cowork.domain.json_text import Found, Lines, TextError, json_places, parse_json, parse_loose_json
from cowork.domain.policy_document import Conditions, Limit, PolicyDocument, Rule, TimeWindow, ToolHint
from cowork.domain.policy_request import Request

WORDS = sorted(
    {
        *(f.encode_name for s in (Conditions, Limit, PolicyDocument, Rule, TimeWindow, ToolHint, Request)
          for f in msgspec.structs.fields(s)),
        "file.read", "file.*", "*", "deny", "allow", "allow_with_confirm", "1.0", "1.1", "audit", "mon", "fallback",
        "/ws/**", "/ws/x", "secrets/**", "22:00", "Europe/Berlin", "Europe", "2026-01-01T00:00:00Z", "a.com", "*.a.com",
        ".md", "git", "", "\ud800", "a\x00b", "scope", "grants", "root", "network.request", "shell.exec",
    }
)  # fmt: skip
SCALARS = st.one_of(
    st.sampled_from(WORDS),
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(0, 3),
    st.floats(),
    st.text(max_size=6),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=4)), inner, max_size=5),
    ),
    max_leaves=25,
)


def a_document(value: Any, chance: random.Random) -> Any:
    """Return a document like those of people, into which parts of the value were put in odd places."""
    made: dict[str, Any] = {
        "version": "1.1",
        "defaults": {"fallback": "deny"},
        "rules": [
            {
                "id": "a",
                "action": ["file.*", "network.request", "shell.exec"],
                "decision": "allow",
                "when": {"matchesPattern": ["/ws/**"], "timeWindow": {"from": "22:00"}, "toolHint": {}},
                "unless": [{"commandPrefix": [["git", ["a", "b"]]], "hostMatches": ["a.com"]}],
                "match": [{"path": "/ws/x", "now": "2026-01-01T23:00:00Z", "commands": [["ls"]]}],
                "notMatch": [{"host": "b.com", "items": [{"path": "/ws/y"}], "scope": {"grants": [{"root": "/"}]}}],
            }
        ],
        "limits": [{"id": "l", "action": "*", "max": 1}],
    }
    at: Any = made
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return made
        key = chance.choice(keys)
        if not isinstance(at[key], dict | list) or not at[key] or chance.random() < 0.3:
            at[key] = value
            return made
        at = at[key]


def checked(value: object) -> None:
    faults = find_errors(value)
    codes = error_codes(value)
    assert codes == list(dict.fromkeys(fault.code for fault in faults))
    for fault in faults:
        sentence = sentence_of(fault, value)
        assert sentence.isprintable(), sentence
        assert len(sentence) < 400
        sentence.encode()
        assert fault.code
    if faults:
        with pytest.raises(DomainError) as caught:
            layer_of(value, "user")
        assert sentence_of(faults[0], value) in caught.value.message
    else:
        assert json.loads(layer_of(value, "user").source) == value


@given(VALUES)
@settings(max_examples=250)
@example({"version": "1.0", "rules": None})
@example({"rules": [{"when": {"timeWindow": {"tz": "Europe"}}}]})
def test_any_value_is_judged(value: object) -> None:
    checked(value)


@given(VALUES, st.randoms(use_true_random=False))
@settings(max_examples=700)
def test_a_document_with_anything_anywhere_is_judged(value: object, chance: random.Random) -> None:
    checked(a_document(value, chance))


@given(st.one_of(st.text(max_size=40), st.binary(max_size=40).map(lambda data: data.decode("latin-1"))))
@settings(max_examples=300)
def test_any_text_is_a_value_or_a_mistake_with_a_line(text: str) -> None:
    for parse in (parse_json, parse_toml):
        parsed(parse, text)


def parsed(parse: Callable[[str], Any], text: str) -> tuple[Any, TextError | None]:
    """Return the value of the text, or the mistake in it, of which the line and the sentence were checked."""
    error = None
    try:
        return parse(text), None
    except TextError as caught:
        error = caught
    assert 1 <= error.line <= text.count("\n") + 1
    assert error.message.isprintable()
    error.message.encode()
    return None, error


TOML_PARTS = ["[a]\n", "[[r]]\n", "[r.w]\n", "[[r.u]]\n", "[r.w.x]\n", "[[a.r]]\n", "x = 1\n", "y.z = [1, {a = 2}]\n",
              "[", "]", "[[", "]]", "{", "}", "=", ",", ".", "a", "b.c", '"x"', '"""', "'''", "'", '"', "\\", "\n",
        " ", "#",
              "1", "1.5", "true", "nan", "2026-01-01", "07:00:00", "rules", "\r\n", "é", "\x00", "+", "_"]  # fmt: skip


@given(st.lists(st.sampled_from(TOML_PARTS), max_size=30).map("".join))
@settings(max_examples=700)
def test_any_toml_is_a_value_whose_places_are_found_or_a_mistake_with_a_line(text: str) -> None:
    value, error = parsed(parse_toml, text)
    if error is None:
        assert {found.place for found in toml_places(text)} == set(all_places(value))


def all_places(value: object, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the place of every key and list element."""
    match value:
        case dict():
            members: list[tuple[str | int, object]] = list(value.items())
        case list():
            members = list(enumerate(value))
        case _:
            return []
    return [one for key, part in members for one in ((*place, key), *all_places(part, (*place, key)))]


@given(VALUES, st.sampled_from([None, 0, 2]))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_every_place_of_a_json_text_is_found_in_order(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    parsed = parse_loose_json(text)

    found = [one.place for one in json_places(text)]

    assert found == all_places(parsed)


def test_a_place_is_told_by_its_line() -> None:
    text = '\n{\n"a": [1,\n2, {"b":\n3}],\n"c": "x"}'

    lines = Lines(json_places(text), text)

    assert [lines.at(place) for place in ((), ("a",), ("a", 0), ("a", 1), ("a", 2), ("a", 2, "b"), ("c",))] == [
        2, 3, 3, 4, 4, 4, 6,
    ]  # fmt: skip
    assert lines.at(("a", 2, "b", "x")) == 4
    assert lines.at(("d",)) == 2


def test_a_place_in_toml_is_told_by_its_line() -> None:
    text = (
        "# [[no]]\n"
        'a.b = 1 # = "\n'
        "[t]\n"
        'x = """\n\n"""\n'
        "[[r]]\n"
        'i = [[1, 2],\n {k = "v", "q.r" = [3]}]\n'
        "[r.w]\n"
        "z = 1979-05-27 07:32:00\n"
        "[[r]]\n"
        "[[r.u]]\n"
        "[[r.u]]\n"
        "'l' = 1.5\n"
    )
    parse_toml(text)

    found: dict[tuple[str | int, ...], int] = {}
    for place, offset, _ in toml_places(text):
        found.setdefault(place, text.count("\n", 0, offset) + 1)

    assert found == {
        ("a",): 2, ("a", "b"): 2, ("t",): 3, ("t", "x"): 4,
        ("r",): 7, ("r", 0): 7, ("r", 0, "i"): 8, ("r", 0, "i", 0): 8, ("r", 0, "i", 0, 0): 8, ("r", 0, "i", 0, 1): 8,
        ("r", 0, "i", 1): 9, ("r", 0, "i", 1, "k"): 9, ("r", 0, "i", 1, "q.r"): 9, ("r", 0, "i", 1, "q.r", 0): 9,
        ("r", 0, "w"): 10, ("r", 0, "w", "z"): 11, ("r", 1): 12, ("r", 1, "u"): 13, ("r", 1, "u", 0): 13,
        ("r", 1, "u", 1): 14, ("r", 1, "u", 1, "l"): 15,
    }  # fmt: skip
    assert isinstance(next(toml_places(text)), Found)


ODD = b'{}[]",:=\\\n\x00\xff0aeu.#'


@pytest.mark.parametrize("suffix", [".json", ".toml", ""])
def test_any_bytes_in_a_file_are_a_document_or_one_sentence(suffix: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    path = tmp_path / f"policy{suffix}"
    rule = b'"id": "a", "action": "*", "decision": "deny"'
    whole = b'{"version": "1.1", "defaults": {"fallback": "deny"},\n"rules": [{' + rule + b"}]}"
    if suffix == ".toml":
        whole = (
            b'version = "1.1"\ndefaults = { fallback = "deny" }\n[[rules]]\nid = "a"\naction = "*"\ndecision = "deny"\n'
        )
    ends: list[DomainError | None] = []
    for _ in range(600):
        data = bytearray(whole)
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = bytes(
                [chance.choice(b'{}[]",:=\\\n\x00\xff0aeu.#')] * chance.randrange(3)
            )
        path.write_bytes(data)
        try:
            load_layer(path, "user")
            ends.append(None)
        except DomainError as error:
            ends.append(error)
    refused = [error for error in ends if error is not None]
    assert 100 < len(refused) < 500
    assert all(str(path) in error.message and f"{error.message}{error.hint}".isprintable() for error in refused)
