"""Canonical JSON, and the two digests of a document: known answers."""

from typing import Any

import pytest

from cowork.domain.canonical_json import canonical_json, origin_digest, sha256_of
from cowork.domain.errors import DomainError
from cowork.domain.policy_document import PolicyDocument, Rule, layer, stored_layer


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": 2}, '{"a":2,"b":1}'),
        ({"a": [True, False, None]}, '{"a":[true,false,null]}'),
        ([], "[]"),
        ("\u20ac$\x0f\n'\"\\/", '"\u20ac$\\u000f\\n\'\\"\\\\/"'),
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (333333333.33333329, "333333333.3333333"),
        (1e-7, "1e-7"),
        (4.50, "4.5"),
        (9007199254740991, "9007199254740991"),
        # Keys are sorted by UTF-16 code units: the emoji's surrogates come before U+FB33.
        ({"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3}, '{"\u20ac":3,"\U0001f600":2,"\ufb33":1}'),
    ],
)
def test_a_value_has_one_text(value: Any, text: str) -> None:
    assert canonical_json(value) == text.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, -(2**53), {1: 2}, object(), {"a": b"x"}])
def test_a_value_that_json_can_not_say_is_refused(value: Any) -> None:
    with pytest.raises(DomainError) as caught:
        canonical_json(value)
    assert caught.value.code == "invalid"
    with pytest.raises(DomainError):
        origin_digest(value)


def test_a_value_that_is_too_deep_is_refused() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(DomainError):
        canonical_json(value)


def test_the_digest_of_bytes_is_their_sha_256() -> None:
    # FIPS 180-2, appendix B.1.
    assert sha256_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


DOCUMENT: Any = {
    "version": "1.0",
    "defaults": {"fallback": "deny"},
    "rules": [{"id": "a", "action": "file.read", "decision": "allow", "when": {"fileSizeGreaterThan": 10.0}}],
}


def test_the_origin_hashes_a_document_with_sorted_and_unquoted_keys() -> None:
    text = (
        '{defaults:{fallback:"deny"},'
        'rules:[{action:"file.read",decision:"allow",id:"a",when:{fileSizeGreaterThan:10}}],version:"1.0"}'
    )
    assert origin_digest(DOCUMENT) == sha256_of(text.encode())
    assert origin_digest({"a": "\u00e9\n", "b": [1.5, None, True]}) == sha256_of(
        '{a:"\u00e9\\n",b:[1.5,null,true]}'.encode()
    )


def test_the_order_of_keys_changes_neither_digest() -> None:
    turned = {key: DOCUMENT[key] for key in reversed(DOCUMENT)}
    assert canonical_json(turned) == canonical_json(DOCUMENT)
    assert origin_digest(turned) == origin_digest(DOCUMENT)


def test_known_digests_stay_what_they_are() -> None:
    # Both texts were written by hand and hashed with `sha256sum`.
    assert sha256_of(canonical_json(DOCUMENT)) == "901ab805f0053c284974fb8f855e04a2844cd20aa655d0d9ade84cc4eb75dd08"
    assert origin_digest(DOCUMENT) == "2558cca753b6272a7c2f8996e91c7679070f5f6b47d7a33f9e26374121a3c2a7"


def test_a_document_that_was_stored_is_read_as_it_was() -> None:
    document = PolicyDocument(rules=(Rule("a", ("file.read", "file.list"), "deny", risk_tags=("large",)),))
    kept = layer("user", document)
    assert stored_layer("user", kept.source) == kept
    assert kept.digest == f"sha256:{sha256_of(kept.source)}"
