"""A policy file is taken whole or refused: nothing runs under a file that is broken, open to all, or not a file."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cowork.adapters.policy_files.rules import load_rules
from cowork.domain.action import FileDelete, FileRead, FileWrite, Location
from cowork.domain.errors import DomainError
from cowork.domain.facts import Facts, FileState
from cowork.domain.policy import decide_action
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope

RULE = {"id": "r", "action": "file.read", "decision": "allow"}
SCOPE = Scope((FolderScope(grant_id="g", name="in", root_path="/home/in", verbs=VERBS, identity=FolderIdentity(1, 2)),))


def document(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"version": "1.0", "defaults": {"fallback": "deny"}, "rules": [RULE], **changes}))
    return path


def facts(kind: Any = "file") -> Facts:
    return Facts(now=datetime(2026, 1, 1, tzinfo=UTC), target=FileState(kind))


def test_the_first_rule_that_matches_decides_and_the_default_denies(tmp_path: Path) -> None:
    rules = load_rules(
        document(
            tmp_path,
            rules=[
                {"id": "keep", "action": "file.*", "decision": "deny", "when": {"matchesPattern": ["keep/**"]}},
                {"id": "rest", "action": ["file.read", "file.delete"], "decision": "allow"},
            ],
        )
    )

    def decided(action: FileRead | FileDelete | FileWrite) -> tuple[str, str]:
        decision = decide_action(action, facts(), SCOPE, rules)
        return decision.verdict, decision.rule_id

    assert decided(FileDelete(at=Location("g", "keep/a"))) == ("deny", "keep")
    assert decided(FileDelete(at=Location("g", "other/a"))) == ("allow", "rest")
    assert decided(FileRead(at=Location("g", "a"))) == ("allow", "rest")


def test_no_policy_file_opens_what_lies_outside_the_grants(tmp_path: Path) -> None:
    rules = load_rules(document(tmp_path, rules=[{"id": "all", "action": "*", "decision": "allow"}]))

    for path in ("../x", "/etc/passwd", "a/../../x", "a\x00b", ".cowork/quarantine/x"):
        decision = decide_action(FileRead(at=Location("g", path)), facts(), SCOPE, rules)
        assert (decision.verdict, decision.layer) == ("deny", "invariant")


def test_a_policy_file_may_be_toml(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('version = "1.0"\n[[rules]]\nid = "r"\naction = "file.read"\ndecision = "allow"\n')

    assert [rule.id for rule in load_rules(path).rules] == ["r"]


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": []},
        {"version": "9"},
        {"defaults": {"fallback": "allow"}},
        {"unknown": 1},
        {"rules": [{**RULE, "when": {"pathWithinGrnt": True}}]},
        {"rules": [{**RULE, "decision": "maybe"}]},
        {"rules": [{**RULE, "action": "file.reed"}]},
        {"rules": [RULE, RULE]},
        {"rules": [{**RULE, "id": "invariant.mine"}]},
    ],
)
def test_a_document_with_anything_unknown_is_refused_whole(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(DomainError) as caught:
        load_rules(document(tmp_path, **changes))

    assert caught.value.code == "invalid"


def test_a_missing_empty_or_malformed_file_is_refused(tmp_path: Path) -> None:
    for text in ("", "{", "[]", "null"):
        path = tmp_path / "p.json"
        path.write_text(text)
        with pytest.raises(DomainError):
            load_rules(path)
    with pytest.raises(DomainError) as caught:
        load_rules(tmp_path / "none.json")
    assert caught.value.code == "not_found"


def test_a_file_that_everybody_may_write_or_that_is_a_link_is_never_read(tmp_path: Path) -> None:
    path = document(tmp_path)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    with pytest.raises(DomainError, match="not an ordinary file"):
        load_rules(link)
    path.chmod(0o666)
    with pytest.raises(DomainError, match="everybody may write"):
        load_rules(path)
