"""No subagent is allowed what its parent is refused: random trees of scopes, asked about everything at every moment."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.domain.action import (
    ACTION_TYPES,
    Action,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
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
    kind_of,
)
from cowork.domain.action_invariant import find_refusal
from cowork.domain.baseline import BASELINE
from cowork.domain.budget import MEASURES, Budget, Usage, find_overrun, narrowest
from cowork.domain.facts import ABSENT, Facts, FileState
from cowork.domain.policy import Policy
from cowork.domain.policy_document import VERDICTS, Conditions, Rule, layer_of_rules
from cowork.domain.policy_host import entry_of_both, is_listed, parse_entry, parse_host
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, GrantedHost, Scope, attenuate
from tests.domain.scope_dice import CONTENT, ENTRIES, HOSTS, KEPT, MOMENTS, NOW, ROOTS, Dice, target_of

ALLOW_ALL: Final = layer_of_rules("all", (Rule("all", "*", "allow"),))
POLICIES: Final = (Policy((ALLOW_ALL,)), Policy((BASELINE,)))


def rolled(examples: int) -> Callable[[Callable[[Dice], None]], Any]:
    """Run a test with as many throws."""

    def wrap(test: Callable[[Dice], None]) -> Any:
        return settings(max_examples=examples)(given(st.integers(0, 2**63).map(Dice))(test))

    return wrap


def verdict(policy: Policy, action: Action, found: Facts, scope: Scope) -> str:
    """Return whether the action is denied, asked about or allowed."""
    decision = policy.decide(action, found, scope)
    return "allow" if decision.is_leave else decision.verdict


def allowed(scope: Scope, action: Action, found: Facts, policy: Policy = POLICIES[0]) -> bool:
    """Whether the scope lets it happen at all, with a person or without."""
    return verdict(policy, action, found, scope) != "deny"


# The rights of a child ----------------------------------------------------------------------------------------------


@rolled(2000)
def test_nothing_is_allowed_to_a_child_and_refused_to_its_parent(dice: Dice) -> None:
    chain = dice.chain()
    for _ in range(12):
        action = dice.action(dice.choice(chain))
        found = dice.facts(action)
        for parent, child in pairwise(chain):
            if find_refusal(action, found, parent) is not None:
                assert find_refusal(action, found, child) is not None
            for policy in POLICIES:
                said, said_of_child = verdict(policy, action, found, parent), verdict(policy, action, found, child)
                assert VERDICTS.index(said) <= VERDICTS.index(said_of_child)


@rolled(1000)
def test_rights_only_ever_get_narrower_whatever_the_order(dice: Dice) -> None:
    parent, wish, other = dice.chain()[-1], dice.wish(), dice.wish()
    child = attenuate(parent, wish)
    assert attenuate(parent, child) == child
    assert attenuate(parent, attenuate(parent, parent)) == attenuate(parent, parent)
    grandchild, at_once = attenuate(child, other), attenuate(parent, attenuate(wish, other))
    for _ in range(8):
        action = dice.action(dice.choice((parent, child, grandchild)))
        found = dice.facts(action)
        if allowed(grandchild, action, found):
            assert allowed(at_once, action, found)
            assert allowed(child, action, found)
            assert allowed(attenuate(parent, other), action, found)
        elif allowed(at_once, action, found):
            # What lies in between has its say, and nothing else may make a difference.
            assert find_refusal(action, found, grandchild) is None
    assert _content(grandchild) == _content(at_once)


def _content(scope: Scope) -> Scope:
    """Return the scope alone, its hosts in one order and spelling."""
    hosts = sorted(
        {(one.grant_id, str(parse_entry(one.host)), one.revoked) for one in scope.hosts},
    )
    one_form = tuple(GrantedHost(grant_id=name, host=host, revoked=revoked) for name, host, revoked in hosts)
    return msgspec.structs.replace(scope.alone, hosts=one_form)


@rolled(1000)
def test_what_the_session_loses_every_subagent_loses_at_once(dice: Dice) -> None:
    chain = dice.chain()
    later = _after(dice, chain[0])
    effective = later
    for recorded in chain[1:]:
        above, effective = effective, attenuate(effective, recorded)
        assert attenuate(above, effective) == effective
        for _ in range(6):
            action = dice.action(recorded)
            found = dice.facts(action)
            if allowed(effective, action, found):
                assert allowed(later, action, found)
                assert allowed(above, action, found)
                # A folder that is granted no longer is one like any other for those who may change what it lies in.
                assert allowed(recorded, action, found) or _is_granted_folder(action, found, recorded)
    for folder in effective.folders:
        held = later.folder(folder.grant_id)
        assert held is not None
        assert set(folder.verbs) <= set(held.verbs)
        assert folder.revoked or not held.revoked
        assert (folder.root_path, folder.identity, folder.name) == (held.root_path, held.identity, held.name)


def _is_granted_folder(action: Action, found: Facts, scope: Scope) -> bool:
    return POLICIES[0].decide(action, found, scope).rule_id == "invariant.grant-root"


def _after(dice: Dice, session: Scope) -> Scope:
    """Return the session's scope after something was taken back, narrowed or over."""
    lost: list[FolderScope] = []
    for folder in session.folders:
        match dice.often("kept", "revoked", "narrowed", "ends"):
            case "revoked":
                lost.append(msgspec.structs.replace(folder, revoked=True))
            case "narrowed":
                lost.append(msgspec.structs.replace(folder, verbs=dice.some(folder.verbs), output_roots=()))
            case "ends":
                lost.append(msgspec.structs.replace(folder, expires_at=dice.choice(MOMENTS)))
            case _:
                lost.append(folder)
    hosts = [msgspec.structs.replace(one, revoked=one.revoked or dice.random() < 0.3) for one in session.hosts]
    return msgspec.structs.replace(session, folders=tuple(lost), hosts=tuple(hosts))


def test_what_is_rolled_is_allowed_often_enough_for_every_kind() -> None:
    """The throws would prove nothing if nothing of theirs was ever allowed to a child, or to its parent alone."""
    dice = Dice(1)
    to_child: Counter[str] = Counter()
    to_parent_alone: Counter[str] = Counter()
    for _ in range(2000):
        chain = dice.chain()
        for _ in range(12):
            action = dice.action(chain[1])
            found = dice.facts(action)
            if allowed(chain[1], action, found):
                to_child[kind_of(action)] += 1
            elif allowed(chain[0], action, found):
                to_parent_alone[kind_of(action)] += 1
    # No connector can be granted yet: their calls are refused to everybody.
    expected = set(ACTION_TYPES) - {"connector.read", "connector.action"}
    assert {kind for kind, count in to_child.items() if count >= 20} == expected
    assert {kind for kind, count in to_parent_alone.items() if count >= 20} == expected


@pytest.mark.parametrize("kind", sorted(ACTION_TYPES))
def test_a_kind_that_a_child_was_not_given_is_refused_to_it_alone(kind: str) -> None:
    session = Scope((_folder("g1"),), (GrantedHost(grant_id="n1", host="a.example"),))
    others: Any = tuple(one for one in ACTION_TYPES if one != kind)
    child = attenuate(session, msgspec.structs.replace(session, kinds=others))
    action = _one_of(kind)
    found = Facts(now=NOW, target=target_of(action), destination=ABSENT, kept=KEPT)
    assert find_refusal(action, found, session) is None
    refusal = find_refusal(action, found, child)
    assert refusal is not None
    assert refusal.rule_id == "invariant.subagent-kinds"


def _one_of(kind: str) -> Action:
    at = Location("g1", "a/x.txt")
    made: dict[str, Action] = {
        "file.rename": FileRename(at=at, to=Location("g1", "a/y.txt")),
        "file.move": FileMove(at=at, to=Location("g1", "b/x.txt")),
        "file.write": FileWrite(at=at, content=CONTENT),
        "file.create": FileCreate(at=at, content=CONTENT),
        "file.search": FileSearch(at=at, pattern="x"),
        "file.list": FileList(at=Location("g1", "a")),
        "file.read": FileRead(at=at),
        "file.delete": FileDelete(at=at),
        "file.restore": FileRestore(at=at, kept="k", digest="sha256:00"),
        "shell.exec": ShellExec(argv=("ls",), cwd=Location("g1", ".")),
        "code.run": CodeRun(python="1", cwd=Location("g1", ".")),
        "network.request": NetworkRequest(method="GET", url="https://a.example/"),
        "connector.read": ConnectorRead(connector="mail", tool="t"),
        "connector.action": ConnectorAction(connector="mail", tool="t"),
        "subagent.spawn": SubagentSpawn(title="t"),
    }
    assert kind_of(made[kind]) == kind
    return made[kind]


def _folder(grant_id: str, **fields: Any) -> FolderScope:
    made = FolderScope(
        grant_id=grant_id,
        name=grant_id,
        root_path=ROOTS[grant_id],
        verbs=VERBS,
        output_roots=("out",),
        identity=FolderIdentity(1, int(grant_id[1:])),
    )
    return msgspec.structs.replace(made, **fields)


# What went wrong once -----------------------------------------------------------------------------------------------


def test_a_part_of_a_folder_does_not_hide_what_the_part_is_called() -> None:
    """A child that is kept to `.git` is in a hidden folder, and policy says of it what it says of its parent."""
    session = Scope((_folder("g1"),))
    child = attenuate(session, Scope((_folder("g1", within=(".git/hooks",)),)))
    hook = FileCreate(at=Location("g1", ".git/hooks/pre-commit"), content=CONTENT)
    found = Facts(now=NOW, target=ABSENT)
    for scope in (session, child):
        assert POLICIES[1].decide(hook, found, scope).rule_id == "executed-files-stay-closed"
        assert POLICIES[0].decide(hook, found, scope).verdict == "allow_with_confirm"


def test_a_granted_folder_inside_another_is_not_deleted_by_who_was_not_given_it() -> None:
    session = Scope((_folder("g1"), _folder("g2"), _folder("g3")))
    child = attenuate(session, Scope((_folder("g1"),)))
    briefly = attenuate(session, Scope((_folder("g1"), _folder("g2", expires_at=MOMENTS[0]))))
    found = Facts(now=NOW, target=FileState("folder"))
    for path in ("a", "a/b"):
        for scope in (session, child, briefly, attenuate(child, Scope((_folder("g1", within=("a",)),)))):
            said = POLICIES[0].decide(FileDelete(at=Location("g1", path)), found, scope)
            assert (said.verdict, said.rule_id) == ("deny", "invariant.grant-root")


def test_a_rule_about_what_a_child_was_not_given_holds_for_it_all_the_same() -> None:
    """Who may not delete what is in an output root can't do so through a helper that has no output roots."""
    kept = Rule("results-stay", "file.delete", "deny", Conditions(path_within_output_root=True))
    allowed_else = Rule("all", "*", "allow")
    policy = Policy((layer_of_rules("mine", (kept, allowed_else)),))
    session = Scope((_folder("g1"),))
    child = attenuate(session, Scope((_folder("g1", output_roots=()),)))
    grandchild = attenuate(child, Scope((_folder("g1", within=("out",), output_roots=("other",)),)))
    found = Facts(now=NOW, target=FileState("file"))
    for scope in (session, child, grandchild):
        assert policy.decide(FileDelete(at=Location("g1", "out/x")), found, scope).rule_id == "results-stay"
    assert policy.decide(FileDelete(at=Location("g1", "a/x")), found, child).verdict == "allow"


def test_a_wish_that_names_a_folder_twice_gets_the_first_of_them_for_good() -> None:
    session = Scope((_folder("g1"),))
    reading, writing = _folder("g1", verbs=("read",), within=("a",)), _folder("g1", verbs=("write",), within=("c",))
    child = attenuate(session, Scope((reading, writing)))
    grandchild = attenuate(child, Scope((writing,)))
    found = Facts(now=NOW, target=FileState("file"))
    written = FileWrite(at=Location("g1", "c/x"), content=CONTENT)
    assert not allowed(child, written, found)
    assert not allowed(grandchild, written, found)


def test_a_child_may_have_several_hosts_of_one_grant_and_pass_each_of_them_on() -> None:
    session = Scope((), (GrantedHost(grant_id="n1", host="*.example"),))
    both = tuple(GrantedHost(grant_id="n1", host=host) for host in ("a.example", "*.b.example"))
    child = attenuate(session, Scope((), both))
    assert child.hosts == both
    grandchild = attenuate(child, Scope((), (GrantedHost(grant_id="n1", host="a.example"),)))
    assert grandchild.open_hosts == ("a.example",)
    assert attenuate(child, session).hosts == both


def test_a_child_with_hosts_of_its_own_reaches_no_other_whatever_the_rules_say() -> None:
    session = Scope((_folder("g1"),), (GrantedHost(grant_id="n1", host="*.example"),))
    own = (GrantedHost(grant_id="n1", host="a.example"),)
    child = attenuate(session, msgspec.structs.replace(session, hosts=own, only_hosts=True))
    grandchild = attenuate(child, msgspec.structs.replace(session, only_hosts=False))
    found = Facts(now=NOW, target=FileState("folder"))
    for host, is_its in (("a.example", True), ("b.example", False), ("a.example:8443", False), ("other", False)):
        for action in (
            NetworkRequest(method="GET", url=f"https://{host}/"),
            ShellExec(argv=("curl",), cwd=Location("g1", "."), network=(host,)),
        ):
            assert allowed(session, action, found)
            assert allowed(child, action, found) is is_its
            assert allowed(grandchild, action, found) is is_its
    assert allowed(child, ShellExec(argv=("ls",), cwd=Location("g1", ".")), found)


@pytest.mark.parametrize("one", ENTRIES)
def test_the_entry_of_both_is_about_the_hosts_that_both_entries_are_about(one: str) -> None:
    asked = [parse_host(f"{host}{port}") for host in HOSTS for port in ("", ":80", ":443", ":8443")]
    for other in ENTRIES:
        both = entry_of_both(one, other)
        assert both is None or parse_entry(both) is not None
        for host in asked:
            if host is not None:
                expected = is_listed(host, (one,)) and is_listed(host, (other,))
                assert is_listed(host, () if both is None else (both,)) is expected


# Budgets ------------------------------------------------------------------------------------------------------------

bounds = st.fixed_dictionaries({measure: st.none() | st.integers(0, 9) for measure in MEASURES})
usages = st.fixed_dictionaries({measure: st.integers(0, 9) for measure in MEASURES})


@given(bounds, bounds, usages, usages, st.booleans())
def test_what_has_room_in_a_childs_budget_has_room_in_its_parents(
    held: dict[str, Any], wished: dict[str, Any], used: dict[str, Any], wanted: dict[str, Any], tells_sent: bool
) -> None:
    parent, wish = Budget(**held), Budget(**wished)
    child = narrowest(parent, wish)
    assert narrowest(parent, child) == child
    assert narrowest(child, wish) == child
    before, then = Usage(**used), Usage(**wanted)
    if find_overrun(child, before, then, tells_sent=tells_sent) is None:
        assert find_overrun(parent, before, then, tells_sent=tells_sent) is None
        assert find_overrun(wish, before, then, tells_sent=tells_sent) is None
