"""The essential cases through the installed command: SHL-01, 03, 12, 16, 19, 22, 30, NET-02, 16."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.process import plan_of, run_cowork, run_plan, step
from tests.adapters.files.cases.contents import PROTECTED

LOOKING = """
cat "$1/out/secret.txt" ../out/secret.txt; ls ~/.ssh "$2/.ssh" "$1/state"; env
cat /proc/self/environ /proc/1/environ /proc/1/cmdline /proc/self/mountinfo
for p in /proc/[0-9]*; do cat $p/environ $p/cmdline; done
exit 7
"""


def test_a_command_sees_neither_files_outside_nor_the_engine(field: Field, account: str) -> None:
    for writes in ("none", "staged"):
        plan = plan_of(step(field, LOOKING, str(field.base), str(field.home), writes=writes))
        ended = run_plan(field, plan, "--verbose")
        ran = ended.task.only
        assert (ended.status, ran.word, ran.command.exit_code) == (1, "failed/exit", 7), ended.err
        assert "COWORK_" not in ran.out
        assert str(field.state) not in ran.out
        assert "PATH=/usr/bin:/bin:/usr/local/bin" in ran.out


def test_what_other_programs_run_is_proposed_and_refused(field: Field) -> None:
    line = "for f in $1; do mkdir -p $(dirname $f); echo evil >$f; done"
    deep = "mkdir -p n/n/n/n/n/.git/hooks; echo evil >n/n/n/n/n/.git/hooks/x"
    action = step(
        field, f"{line}; {deep}; echo fine >fine.txt; ln -s $2 o", " ".join(PROTECTED), str(field.out), writes="staged"
    )
    write = {"kind": "file.create", "path": "o/x", "content": "x"}
    ended = run_plan(field, plan_of(action, write))
    assert ended.task.first.word == "completed", ended.err
    refused = [ran for ran in ended.task.changes if ran.word != "completed"]
    assert len(refused) >= len(PROTECTED) + 1
    assert {ran.word for ran in refused} <= {"denied/protected", "denied/sensitive", "denied/symlink", "denied/special"}
    assert {name: data for name, data in field.tree().items() if name != "o/x"} == {"fine.txt": b"fine\n"}
    assert "symbolic link" in json.dumps([*ended.task.first.command.left_out, *(ran.reason for ran in refused)])
    shown = run_cowork(field, "task", "summary", ended.task.task.task_id)
    assert "CLAUDE.md" in shown.out


def test_what_a_command_leaves_running_and_uses_up_ends_with_it(field: Field) -> None:
    daemon = step(field, 'setsid nohup sh -c "sleep 9999" "$0" & ( ( setsid sleep 9999 & ) & ) ; echo early')
    bomb = step(field, "bomb() { bomb | bomb & }; bomb; sleep 9", timeout_s=1)
    loud = step(field, "head -c 50000000 /dev/zero", writes="staged")
    ended = run_plan(field, plan_of(daemon, bomb, loud))
    words = [ran.word for ran in ended.task.actions]
    assert (words[0], words[2]) == ("completed", "completed")
    assert words[1] in ("failed/limit", "failed/exit")
    assert ended.task.actions[0].out == "early\n"
    kept = ended.task.actions[2].command.stdout
    assert kept.content.size + kept.cut == 50_000_000
    assert ended.task.actions[0].command.milliseconds < 5000


@pytest.mark.parametrize(
    "flags",
    [
        *(["--unsandboxed"], ["--no-sandbox"], ["--sandbox", "none"], ["--dangerously-skip-permissions"], ["--yolo"]),
        *(["--sandbox=off"], ["--privileged"], ["--allow-unsandboxed-commands"], ["--answer", "always"]),
    ],
    ids=" ".join,
)
def test_no_option_takes_the_sandbox_away(field: Field, flags: list[str]) -> None:
    ended = run_plan(field, plan_of(step(field, "echo ran >ran", writes="staged")), *flags)
    assert ended.status == 2, ended
    assert ended.played is None
    assert field.tree() == {}


@pytest.mark.parametrize(
    "field_of_action",
    [
        *({"unsandboxed": True}, {"sandbox": "none"}, {"sandbox": False}, {"dangerouslyDisableSandbox": True}),
        *({"writes": "direct"}, {"writes": "all"}, {"privileged": True}, {"network": "all"}, {"mounts": ["/"]}),
        *({"user": "root"}, {"timeout_s": -1}, {"argv": []}, {"capabilities": ["all"]}),
    ],
    ids=json.dumps,
)
def test_no_field_of_a_plan_takes_the_sandbox_away(field: Field, field_of_action: dict[str, object]) -> None:
    action = {**step(field, "echo ran >ran"), **field_of_action}
    ended = run_plan(field, plan_of(action))
    assert (ended.status, ended.played) == (2, None), ended
    assert field.tree() == {}


def test_no_rule_setting_or_second_try_takes_the_sandbox_away(field: Field) -> None:
    policy = field.base / "home" / "policy.toml"
    policy.write_text('version = "1.1"\nrules = []\n[defaults]\nfallback = "allow"\n')
    settings = {"COWORK_SANDBOX": "none", "COWORK_UNSANDBOXED": "1", "COWORK_UNSAFE_NO_SANDBOX": "1", "CI": "1"}
    escape = step(field, 'cat "$1/out/secret.txt"; ls -A "$1"; grep Seccomp: /proc/self/status', str(field.base))
    denied = {"kind": "shell.exec", "argv": ["true"], "env": {"LD_PRELOAD": "x"}}
    for _ in range(2):
        ended = run_plan(field, plan_of(denied, escape, denied, escape), "--policy", str(policy), env=settings)
        words = [ran.word.partition("/")[0] for ran in ended.task.actions]
        assert words == ["denied", "completed", "denied", "completed"], ended.err
        assert {ran.out for ran in ended.task.actions} == {"", "grant\nSeccomp:\t2\n"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, list[str]]]:
    """A server on loopback, with the list of what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield server.server_address[1], asked
    server.shutdown()
    server.server_close()


REACHING = """
import json, os, socket, sys, urllib.request
port, other = int(sys.argv[1]), int(sys.argv[2])
proxy = os.environ.get("http_proxy", "")
def get(url, **proxies):
    handler = urllib.request.ProxyHandler(proxies)
    try:
        return urllib.request.build_opener(handler).open(url, timeout=3).read().decode()
    except OSError as error:
        return "held"
def dial(host, number, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    try:
        with socket.socket(family, kind) as made:
            made.settimeout(2); made.connect((host, number)); made.send(b"x")
        return "reached" if kind == socket.SOCK_STREAM else "held"
    except OSError:
        return "held"
print(json.dumps(dict(
    proxy=bool(proxy), allowed=get(f"http://127.0.0.1:{port}/by-proxy", http=proxy),
    other=get(f"http://127.0.0.1:{other}/", http=proxy), name=get(f"http://localhost:{port}/", http=proxy),
    unlisted=get("http://data.evil.test/", http=proxy), short=get(f"http://127.1:{port}/", http=proxy),
    no_proxy=get(f"http://127.0.0.1:{port}/direct"), direct=dial("127.0.0.1", port), udp=dial("127.0.0.1", port,
    kind=socket.SOCK_DGRAM), six=dial("::1", port, socket.AF_INET6))))
"""


def test_a_command_reaches_what_was_granted_and_asked_for_by_its_proxy_and_nothing_else(
    field: Field, served: tuple[int, list[str]]
) -> None:
    port, asked = served
    host = f"127.0.0.1:{port}"
    action = {
        "kind": "code.run",
        "python": REACHING,
        "args": [str(port), str(field.port), field.marker],
        "network": [host],
    }
    ended = run_plan(field, plan_of(action), "--host", host)
    assert ended.task.only.word == "completed", (ended.err, ended.task.only.err)
    found = json.loads(ended.task.only.out)
    assert found.pop("proxy") is True
    assert found.pop("allowed") == "hello"
    assert set(found.values()) == {"held"}, found
    assert asked == ["/by-proxy"]
    allowed = [one for one in ended.task.connections if not one[3]]
    assert allowed == [("127.0.0.1", port, "127.0.0.1", "")]
    assert {one[3] for one in ended.task.connections} - {"net_denied", "net_addr", ""} == set()


def test_an_empty_list_of_hosts_means_none(field: Field, served: tuple[int, list[str]]) -> None:
    port, asked = served
    command = {"kind": "code.run", "python": REACHING, "args": [str(port), str(field.port), field.marker]}
    request = {"kind": "network.request", "method": "GET", "url": f"http://127.0.0.1:{port}/"}
    ended = run_plan(field, plan_of(command, {**command, "network": [f"127.0.0.1:{port}"]}, request))
    first, second, third = ended.task.actions
    assert set(json.loads(first.out).values()) == {False, "held"}
    assert (second.word, third.word) == ("denied/net_denied", "denied/net_denied")
    assert not second.started
    assert asked == []
