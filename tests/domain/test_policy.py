"""The default rules, kind by kind; what no document can relax; and that a missing fact never helps."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.domain.action import (
    ACTION_TYPES,
    Action,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
    Content,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileRename,
    FileRestore,
    FileSearch,
    FileWrite,
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
)
from cowork.domain.baseline import BASELINE
from cowork.domain.facts import ABSENT, Facts, FileState, Obstacle
from cowork.domain.policy import Policy
from cowork.domain.policy_decision import Decision
from cowork.domain.policy_document import VERDICTS, Layer, Rule, layer_of_rules
from cowork.domain.reason import REASON_CODES
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, GrantedHost, Scope

NOW = datetime(2026, 11, 22, tzinfo=UTC)
BYTES = Content("sha256:00", 2)
FILE = FileState("file", digest="sha256:aa")
FOLDER = FileState("folder")


def folder(grant_id: str = "g", **changes: Any) -> FolderScope:
    given_folder = FolderScope(
        grant_id=grant_id,
        name=grant_id,
        root_path=f"/home/{grant_id}",
        verbs=VERBS,
        output_roots=("out",),
        identity=FolderIdentity(1, 2),
    )
    return msgspec.structs.replace(given_folder, **changes)


SCOPE = Scope((folder(), folder("h")), (GrantedHost(grant_id="n", host="granted.example"),))


def at(path: str, grant_id: str = "g") -> Location:
    return Location(grant_id, path)


def decided(action: Action, *, scope: Scope = SCOPE, rules: Layer = BASELINE, **facts: Any) -> Decision:
    facts.setdefault("now", NOW)
    return Policy((rules,)).decide(action, Facts(**facts), scope)


ASK = "allow_with_confirm"
NEW = {"target": ABSENT}
LINKED = {"target": msgspec.structs.replace(FILE, links=2)}
MOVED = {"target": FILE, "destination": ABSENT}
RESTORED = {"target": ABSENT, "kept": FILE}
BACK = FileRestore(at=Location("g", "a"), kept="quarantine:0", digest="sha256:aa")
Row: TypeAlias = tuple[str, Action, dict[str, Any], str]

MATRIX: list[Row] = [
    ("reading in a grant is allowed", FileRead(at=at("a")), {"target": FILE}, "allow"),
    ("listing in a grant is allowed", FileList(at=at(".")), {"target": FOLDER}, "allow"),
    ("searching in a grant is allowed", FileSearch(at=at("."), pattern="x"), {"target": FOLDER}, "allow"),
    ("a new file in an output root is allowed", FileCreate(at=at("out/a"), content=BYTES), NEW, "allow"),
    ("writing a new file there is allowed", FileWrite(at=at("out/a"), content=BYTES), NEW, "allow"),
    ("a new file elsewhere is asked", FileCreate(at=at("a"), content=BYTES), NEW, ASK),
    ("`outer` is not in `out`", FileCreate(at=at("outer"), content=BYTES), NEW, ASK),
    ("overwriting is asked", FileWrite(at=at("out/a"), content=BYTES), {"target": FILE}, ASK),
    ("putting back is asked", BACK, RESTORED, ASK),
    (
        "putting back under a name that nobody can read, which it had before, is asked",
        msgspec.structs.replace(BACK, at=at("a\u202eb\x1b[2J")),
        RESTORED,
        ASK,
    ),
    ("putting back in an output root is allowed", msgspec.structs.replace(BACK, at=at("out/a")), RESTORED, "allow"),
    (
        "putting back what other programs obey",
        msgspec.structs.replace(BACK, at=at("a/.vscode/tasks.json")),
        RESTORED,
        "deny",
    ),
    ("deleting is asked", FileDelete(at=at("out/a")), {"target": FILE}, ASK),
    (
        "renaming is asked",
        FileRename(at=at("a"), to=at("b")),
        MOVED,
        ASK,
    ),
    (
        "moving is asked",
        FileMove(at=at("a"), to=at("d/a")),
        MOVED,
        ASK,
    ),
    (
        "moving between grants is denied",
        FileMove(at=at("a"), to=at("a", "h")),
        MOVED,
        "deny",
    ),
    ("an .env is denied", FileRead(at=at(".env.local")), {"target": FILE}, "deny"),
    ("a key is denied", FileRead(at=at("x/id_rsa")), {"target": FILE}, "deny"),
    ("secrets/ is denied", FileWrite(at=at("secrets/a"), content=BYTES), NEW, "deny"),
    ("a hidden file is denied", FileRead(at=at("a/.b/c")), {"target": FILE}, "deny"),
    (
        "moving into a hidden place is denied",
        FileMove(at=at("a"), to=at(".git/hooks/a")),
        MOVED,
        "deny",
    ),
    (
        "CLAUDE.md is denied, present or absent",
        FileCreate(at=at("out/Claude.MD"), content=BYTES),
        NEW,
        "deny",
    ),
    (
        "a hard link is asked",
        FileRead(at=at("a")),
        LINKED,
        ASK,
    ),
    ("a host that was not granted is denied", NetworkRequest(method="GET", url="https://a/"), {}, "deny"),
    ("a granted host is asked", NetworkRequest(method="GET", url="https://granted.example/"), {}, ASK),
    ("connectors are denied", ConnectorRead(connector="c", tool="t"), {}, "deny"),
    ("connectors' actions are denied", ConnectorAction(connector="c", tool="t"), {}, "deny"),
    ("commands are asked", ShellExec(argv=("ls",), cwd=at(".")), {}, ASK),
    ("code is asked", CodeRun(python="1", cwd=at(".")), {}, ASK),
    ("subagents can do no more and start unasked", SubagentSpawn(title="s"), {}, "allow"),
]


@pytest.mark.parametrize(("action", "facts", "verdict"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX])
def test_the_default_matrix(action: Action, facts: dict[str, Any], verdict: str) -> None:
    decision = decided(action, **facts)

    assert decision.verdict == verdict
    assert decision.rule_id
    assert decision.reason
    assert (decision.reason_code is not None) == (verdict == "deny")


ALLOW_ALL = layer_of_rules("all", (Rule("any", ("*",), "allow"),))

INVARIANTS: list[Row] = [
    ("a path with ..", FileRead(at=at("../x")), {"target": FILE}, "escape"),
    ("an absolute path", FileRead(at=Location("", "/etc/passwd")), {"target": FILE}, "no_grant"),
    (
        "a sibling with the grant's name as a prefix",
        FileRead(at=Location("", "/home/g-evil/x")),
        {"target": FILE},
        "no_grant",
    ),
    ("NUL", FileRead(at=at("a\0b")), {"target": FILE}, "name"),
    ("the grant itself as a target", FileDelete(at=at(".")), {"target": FOLDER}, "name"),
    ("a blank name", FileWrite(at=at("  "), content=BYTES), NEW, "name"),
    ("5,000 bytes", FileRead(at=at("a/" * 2500)), {"target": FILE}, "limit"),
    ("400 components", FileRead(at=at("/".join("a" * 400))), {"target": FILE}, "limit"),
    ("a component of 256 bytes", FileRead(at=at("a" * 256)), {"target": FILE}, "limit"),
    ("a new name with a direction override", FileCreate(at=at("a\u202eb"), content=BYTES), NEW, "name"),
    (
        "a move to a name with a new line",
        FileMove(at=at("a"), to=at("b\nc")),
        MOVED,
        "name",
    ),
    ("an obstacle", FileRead(at=at("a")), {"obstacle": Obstacle("symlink", "a link")}, "symlink"),
    ("the engine's own folder", FileRead(at=at(".cowork/quarantine/a")), {"target": FILE}, "protected"),
    ("deleting what is not there", FileDelete(at=at("a")), NEW, "not_found"),
    ("creating what is there", FileCreate(at=at("a"), content=BYTES), {"target": FILE}, "conflict"),
    ("putting back onto what is there", BACK, {"target": FILE, "kept": FILE}, "conflict"),
    ("putting back what is kept no longer", BACK, {"target": ABSENT, "kept": ABSENT}, "not_found"),
    ("putting back what is not what was deleted", BACK, {"target": ABSENT, "kept": FOLDER}, "conflict"),
    ("putting back of which nothing is known", BACK, NEW, "not_found"),
    (
        "replacing what is not the base",
        FileWrite(at=at("a"), content=BYTES, base="sha256:b"),
        {"target": FILE},
        "conflict",
    ),
    ("deleting what is not the base", FileDelete(at=at("a"), base="sha256:b"), {"target": FILE}, "conflict"),
    ("replacing a base that is gone", FileWrite(at=at("a"), content=BYTES, base="sha256:b"), NEW, "conflict"),
    ("moving onto what is there", FileMove(at=at("a"), to=at("b")), {"target": FILE, "destination": FILE}, "conflict"),
    ("a kind that nothing carries out", ShellExec(argv=("ls",), cwd=at(".")), {"available": False}, "unavailable"),
]


@pytest.mark.parametrize(
    ("action", "facts", "code"), [row[1:] for row in INVARIANTS], ids=[row[0] for row in INVARIANTS]
)
def test_no_document_relaxes(action: Action, facts: dict[str, Any], code: str) -> None:
    decision = decided(action, rules=ALLOW_ALL, **facts)

    assert (decision.verdict, decision.layer, decision.reason_code) == ("deny", "invariant", code)


@pytest.mark.parametrize(
    "changes",
    [{"revoked": True}, {"expires_at": NOW}, {"expires_at": NOW - timedelta(days=1)}, {"verbs": ("create", "delete")}],
)
def test_a_grant_that_is_over_or_lacks_the_verb_covers_nothing(changes: dict[str, Any]) -> None:
    decision = decided(FileRead(at=at("a")), scope=Scope((folder(**changes),)), rules=ALLOW_ALL, target=FILE)

    assert (decision.verdict, decision.reason_code) == ("deny", "no_grant")


def test_a_permissive_document_still_asks_before_files_that_other_programs_run() -> None:
    decision = decided(FileCreate(at=at("AGENTS.md"), content=BYTES), rules=ALLOW_ALL, target=ABSENT)

    assert (decision.verdict, decision.rule_id) == (ASK, "floor.host-executed")
    assert "host-executed" in decision.risk_tags


def test_an_empty_document_denies_everything_and_says_so() -> None:
    decision = decided(FileRead(at=at("a")), rules=layer_of_rules("nothing", ()), target=FILE)

    assert (decision.verdict, decision.rule_id) == ("deny", "default-deny")
    assert "what is not allowed is denied" in decision.reason


def test_the_decision_names_the_rules_that_matched_and_lost() -> None:
    decision = decided(FileRead(at=at(".env")), target=FILE)

    assert decision.rule_id == "sensitive-files-stay-closed"
    assert {lost.rule: lost.why for lost in decision.lost} == {
        "baseline:read-inside-a-grant": "says allow, `baseline:sensitive-files-stay-closed` is stricter",
        "baseline:hidden-files-stay-closed": "says the same as `baseline:sensitive-files-stay-closed`",
    }


def test_an_unknown_target_counts_as_an_overwrite() -> None:
    decision = decided(FileWrite(at=at("out/a"), content=BYTES))

    assert decision.verdict == ASK
    assert decision.by_missing_fact
    assert "overwrite" in decision.risk_tags


def test_every_baseline_rule_decides_some_action_of_the_matrix() -> None:
    deciding = {decided(action, **facts).rule_id for _, action, facts, _ in MATRIX}

    # No connector can be granted yet, and what is not granted never reaches the rules.
    assert {rule.id for rule in BASELINE.document.rules} - {"no-connectors"} <= deciding


PATHS = st.text(st.sampled_from("ab./~*\\:\0 é\u202e"), max_size=12)
STATES = st.sampled_from([None, ABSENT, FILE, FOLDER, msgspec.structs.replace(FILE, links=2)])


def actions() -> st.SearchStrategy[Action]:
    place = st.builds(Location, st.sampled_from(["g", "h", ""]), PATHS)
    return st.one_of(
        st.builds(FileRead, at=place),
        st.builds(FileList, at=place),
        st.builds(FileSearch, at=place, pattern=st.just("x")),
        st.builds(FileWrite, at=place, content=st.just(BYTES)),
        st.builds(FileCreate, at=place, content=st.just(BYTES)),
        st.builds(FileMove, at=place, to=place),
        st.builds(FileRename, at=place, to=place),
        st.builds(FileDelete, at=place),
        st.builds(FileRestore, at=place, kept=st.just("quarantine:0"), digest=st.just("sha256:a")),
    )


@given(actions(), STATES, STATES)
def test_a_missing_fact_never_weakens_a_decision(action: Action, target: Any, destination: Any) -> None:
    known = decided(action, target=target, destination=destination)
    unknown = decided(action)

    # What is certain to fail is refused early: that is no rule's answer.
    if known.layer == "invariant" and known.reason_code in ("not_found", "conflict"):
        return
    assert VERDICTS.index(unknown.verdict) >= VERDICTS.index(known.verdict) or known.verdict == "deny"


@given(actions(), STATES, STATES)
def test_a_decision_is_always_made_and_always_explained(action: Action, target: Any, destination: Any) -> None:
    first = decided(action, target=target, destination=destination)

    assert first == decided(action, target=target, destination=destination)
    assert first.verdict in VERDICTS
    assert first.reason_code is None or first.reason_code in REASON_CODES
    assert first.policy_digest.startswith("sha256:")


def test_every_kind_of_action_has_a_row_in_the_matrix() -> None:
    assert {type(action) for _, action, _, _ in MATRIX} == set(ACTION_TYPES.values())
