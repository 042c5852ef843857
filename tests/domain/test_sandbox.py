"""Self tests of the sandbox, and granted hosts: what is recorded, and what is refused."""

import pytest

from cowork.domain import grant, sandbox
from cowork.domain.grant import GrantHost, HostGrant, HostGranted, HostRevoked, NarrowGrant, RevokeGrant, scope_of
from cowork.domain.sandbox import Canary, Checked, RecordCheck, SandboxChecked
from cowork.domain.scope import GrantedHost, Scope, attenuate
from tests.domain.given import Given

MACHINE = "sha256:machine"


def canary(path: str = "shell", standing: str = "enforced", **changes: object) -> Canary:
    values = {"name": "env", "path": path, "standing": standing, "detail": "tried", **changes}
    return Canary(**values)  # type: ignore[arg-type]


def tried(*canaries: Canary) -> Given[Checked]:
    given = Given(sandbox.INITIAL, sandbox.decide, sandbox.evolve)
    given.when(RecordCheck(MACHINE, canaries))
    return given


def test_a_self_test_is_recorded_once_and_again_where_something_is_different() -> None:
    given = tried(canary())
    assert given.when(RecordCheck(MACHINE, (canary(),))) == ()
    for changed in (
        RecordCheck("sha256:other", (canary(),)),
        RecordCheck("sha256:other", (canary(standing="absent"),)),
    ):
        (event,) = given.when(changed)
        assert isinstance(event, SandboxChecked)
        assert given.state == Checked(changed.fingerprint, changed.canaries)


def test_what_was_never_tried_and_what_was_tried_on_another_machine_holds_nothing() -> None:
    for state, fingerprint in ((Checked(), MACHINE), (tried(canary()).state, "sha256:other"), (tried().state, MACHINE)):
        (missing,) = state.missing(fingerprint)
        assert (missing.name, missing.standing) == ("self-test", "absent")
        assert missing.hint


def test_commands_need_every_line_of_shell_and_code_to_be_enforced() -> None:
    held = tried(canary(), canary("code"), canary("files", "absent"), canary("network", "absent"))
    assert held.state.missing(MACHINE) == ()
    for path in ("shell", "code"):
        for standing in ("advisory", "absent"):
            given = tried(canary(), canary(path, standing))
            assert [one.standing for one in given.state.missing(MACHINE)] == [standing]


def test_hosts_need_the_network_to_be_enforced_too() -> None:
    state = tried(canary(), canary("network", "advisory")).state
    assert state.missing(MACHINE) == ()
    assert [one.path for one in state.missing(MACHINE, network=True)] == ["network"]


def test_what_is_not_needed_stops_nothing() -> None:
    assert tried(canary(), canary(standing="absent", needed=False)).state.missing(MACHINE) == ()


# Hosts


def granting(host: str = "api.example") -> GrantHost:
    return GrantHost(grant_id="grant-1", session_id="session-1", host=host)


def granted(host: str = "api.example") -> Given[grant.GrantState]:
    given = Given(grant.INITIAL, grant.decide, grant.evolve)
    given.when(granting(host))
    return given


@pytest.mark.parametrize("host", ["api.example", "*.example", "example:8443", "example:*", "127.0.0.1:80", "[::1]"])
def test_a_host_is_opened_as_it_was_written(host: str) -> None:
    given = Given(grant.INITIAL, grant.decide, grant.evolve)
    assert given.when(granting(host)) == (HostGranted(grant_id="grant-1", session_id="session-1", host=host),)
    assert scope_of([given.state]).open_hosts == (host,)


@pytest.mark.parametrize(
    "host",
    ["", "*", "https://a.example", "a.example/x", "me@a.example", "0x7f.1", "2130706433", "a.example:0"],
)
def test_what_is_no_host_is_not_opened(host: str) -> None:
    refused = Given(grant.INITIAL, grant.decide, grant.evolve).refused(granting(host), "invalid")
    assert f"`{host}`" in refused.message
    assert refused.hint


def test_a_host_is_given_once_and_revoked_once() -> None:
    given = granted()
    given.refused(granting(), "conflict")
    assert given.when(RevokeGrant("enough")) == (HostRevoked(grant_id="grant-1", reason="enough"),)
    assert given.when(RevokeGrant("again")) == ()
    assert isinstance(given.state, HostGrant)
    assert scope_of([given.state]).open_hosts == ()
    assert scope_of([given.state]).hosts == (GrantedHost(grant_id="grant-1", host="api.example", revoked=True),)


def test_a_host_has_nothing_to_narrow() -> None:
    refused = granted().refused(NarrowGrant(verbs=("read",), output_roots=()), "invalid")
    assert "only be revoked" in refused.message


def test_a_subagent_has_only_hosts_that_its_parent_has_and_no_wider_ones() -> None:
    parent = Scope((), (GrantedHost(grant_id="a", host="api.example"), GrantedHost(grant_id="b", host="b.example")))
    wished = Scope(
        (),
        (
            GrantedHost(grant_id="a", host="api.example"),
            GrantedHost(grant_id="b", host="*.example"),
            GrantedHost(grant_id="c", host="c.example"),
        ),
    )
    assert attenuate(parent, wished).open_hosts == ("api.example", "b.example")
    revoked = Scope((), (GrantedHost(grant_id="a", host="api.example", revoked=True),))
    assert attenuate(revoked, wished).open_hosts == ()


def test_opening_a_host_changes_the_digest_of_a_scope_and_none_leaves_it_as_it_was() -> None:
    assert Scope().digest() == Scope((), ()).digest()
    assert Scope().digest() != scope_of([granted().state]).digest()
