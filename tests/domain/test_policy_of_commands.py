"""The network of a command is the network: each host that it wants is decided like a request to it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.domain.action import Action, CodeRun, CommandAction, Location, ShellExec, connections_of
from cowork.domain.baseline import BASELINE
from cowork.domain.facts import Facts
from cowork.domain.policy import Policy
from cowork.domain.policy_approval import Approval, ApprovalScope
from cowork.domain.policy_decision import Decision
from cowork.domain.policy_document import Conditions, Layer, Rule, layer_of_rules
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, GrantedHost, Scope

FACTS = Facts(now=datetime(2026, 11, 22, tzinfo=UTC))
HOSTS = ("api.example", "mirror.example")
SCOPE = Scope(
    (FolderScope(grant_id="g", name="g", root_path="/home/g", verbs=VERBS, identity=FolderIdentity(1, 2)),),
    tuple(GrantedHost(grant_id=f"h{number}", host=host) for number, host in enumerate(HOSTS)),
)
STRICTNESS = ("allow", "allow_with_confirm", "deny")
FREELY = Rule("commands", ("shell.exec", "code.run"), "allow")


def shell(*hosts: str, argv: tuple[str, ...] = ("curl", "-s")) -> ShellExec:
    return ShellExec(argv=argv, cwd=Location("g", "."), network=hosts)


def rules(*more: Rule) -> Layer:
    return layer_of_rules("mine", (FREELY, *more))


def decided(action: CommandAction, layer: Layer = BASELINE, scope: Scope = SCOPE, *known: Approval) -> Decision:
    return Policy((layer,)).decide(action, FACTS, scope, session="s", approvals=known)


API = Rule("api", "network.request", "allow", Conditions(host_matches=("api.example",)))
MIRROR = Rule("mirror", "network.request", "allow_with_confirm", Conditions(host_matches=("mirror.example",)))
NO_ADS = Rule("no-ads", "network.request", "deny", Conditions(host_matches=("*.ads.example",)), code="net_denied")


def test_a_command_without_hosts_is_decided_by_the_rules_about_commands() -> None:
    assert decided(shell(), rules()).verdict == "allow"
    assert decided(shell()).rule_id == "commands-need-a-person"


@pytest.mark.parametrize(
    ("hosts", "verdict", "rule"),
    [
        (("api.example",), "allow", "commands"),
        (("mirror.example",), "allow_with_confirm", "mirror"),
        (("api.example", "mirror.example"), "allow_with_confirm", "mirror"),
        (("api.example", "mirror.example", "x.ads.example"), "deny", "no-ads"),
        (("x.ads.example", "api.example"), "deny", "no-ads"),
        (("api.example", "other.example"), "deny", "default-deny"),
        (("api.example:22",), "deny", "default-deny"),
    ],
)
def test_the_strictest_answer_about_one_of_its_hosts_is_the_answer(
    hosts: tuple[str, ...], verdict: str, rule: str
) -> None:
    for action in (shell(*hosts), CodeRun(python="1", cwd=Location("g", "."), network=hosts)):
        decision = decided(action, rules(API, MIRROR, NO_ADS))
        assert (decision.verdict, decision.rule_id) == (verdict, rule)


def test_a_command_that_is_denied_stays_so_whatever_its_hosts_are() -> None:
    closed = layer_of_rules("mine", (API, Rule("no", "shell.exec", "deny", code="policy")))
    assert decided(shell("api.example"), closed).rule_id == "no"


def test_under_the_baseline_one_host_that_is_not_granted_denies_the_command() -> None:
    assert decided(shell(*HOSTS)).verdict == "allow_with_confirm"
    refused = decided(shell(*HOSTS, "evil.example"))
    assert (refused.verdict, refused.rule_id, refused.reason_code) == ("deny", "no-network", "net_denied")
    revoked = Scope(SCOPE.folders, (GrantedHost(grant_id="h", host="api.example", revoked=True),))
    assert decided(shell("api.example"), BASELINE, revoked).verdict == "deny"


@pytest.mark.parametrize(
    "host",
    ["", "2130706433", "0x7f.1", "api.example@evil.example", "https://api.example", "*.example", "a b", "a/b"],
)
def test_what_is_no_host_denies_the_command(host: str) -> None:
    open_to_all = rules(Rule("net", "network.request", "allow"))
    assert decided(shell(host), open_to_all).verdict == "deny"


def test_a_command_with_hosts_says_that_something_leaves_the_machine() -> None:
    assert "network" in decided(shell("api.example")).risk_tags
    assert "network" not in decided(shell()).risk_tags


def remembered(**changes: object) -> Approval:
    values: dict[str, object] = {
        "id": "approval-1",
        "action": "shell.exec",
        "rule_ids": ("baseline:commands-need-a-person", "baseline:granted-hosts-need-a-person"),
        "risk_tags": ("execute", "network"),
        "scope": ApprovalScope(session="s"),
        "command_prefix": ("curl",),
        "path_prefix": "/home/g",
    }
    return Approval(**(values | changes))  # type: ignore[arg-type]


def test_a_remembered_command_covers_none_of_its_hosts() -> None:
    quiet = decided(shell(), BASELINE, SCOPE, remembered())
    assert (quiet.approval_id, quiet.is_leave) == ("approval-1", True)
    reaching = decided(shell("api.example"), BASELINE, SCOPE, remembered())
    assert (reaching.approval_id, reaching.is_leave) == ("", False)
    assert reaching.rule_id == "granted-hosts-need-a-person"


def test_a_remembered_request_to_a_host_opens_it_to_no_command() -> None:
    request = remembered(action="network.request", command_prefix=None, path_prefix=None, host="api.example")
    assert not decided(shell("api.example"), BASELINE, SCOPE, request, remembered()).is_leave


names = st.sampled_from(["api.example", "mirror.example", "x.ads.example", "other.example", "127.0.0.1", "[::1]:80"])


@given(st.lists(names, max_size=4))
def test_a_command_is_never_freer_than_requests_to_each_of_its_hosts(hosts: list[str]) -> None:
    policy = Policy((rules(API, MIRROR, NO_ADS),))
    action = shell(*hosts)
    asked: list[Action] = [shell(), *connections_of(action)]
    said = [policy.decide(one, FACTS, SCOPE, session="s").verdict for one in asked]
    assert decided(action, rules(API, MIRROR, NO_ADS)).verdict == max(said, key=STRICTNESS.index)
    assert all(one.method == "CONNECT" for one in connections_of(action))
