"""Documents and files that the tests of this folder share."""

import json
from pathlib import Path
from typing import Any

import pytest

from cowork.adapters.policy_files.document import load_layer
from cowork.domain.errors import DomainError

RULE: dict[str, Any] = {"id": "a", "action": "file.read", "decision": "allow"}


def document(*rules: dict[str, Any], version: str = "1.1", **more: Any) -> dict[str, Any]:
    """Return a document of the rules, each with what it needs at least."""
    return {
        "version": version,
        "defaults": {"fallback": "deny"},
        "rules": [{**RULE, **rule} for rule in rules],
        **more,
    }


def when(**conditions: Any) -> dict[str, Any]:
    """Return a document whose one rule has these conditions."""
    return document({"when": conditions})


def text_of(value: object) -> str:
    """Return the value as JSON text."""
    return json.dumps(value, indent=1)


def refusal(path: Path, content: str | bytes) -> tuple[str, str]:
    """Write the file and return the sentence and the hint with which it is refused."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DomainError) as caught:
        load_layer(path, "user")
    return caught.value.message, caught.value.hint
