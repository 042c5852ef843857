"""NET-01, 06, 16 through the installed command, with names of the machine's own resolver and real public addresses.

Root's alone: in a user namespace, where an ordinary user could lay such wires, there is no sandbox.
"""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.process import plan_of, run_plan
from tests.acceptance.workplace import ROOT

REACHING = """
import json, os, socket, sys, urllib.request
def get(url, **proxies):
    try:
        return urllib.request.build_opener(urllib.request.ProxyHandler(proxies)).open(url, timeout=3).read().decode()
    except OSError:
        return "held"
def dial(host):
    try:
        socket.create_connection((host, 80), timeout=2).close()
        return "reached"
    except OSError:
        return "held"
proxy = os.environ["http_proxy"]
hosts = ["good.test", "evil.test", "inside.test", "metadata.test", "own.test", "93.184.216.34"]
print(json.dumps([[get(f"http://{host}/from-{host}", http=proxy) for host in hosts],
                  [get(f"http://{host}/direct") for host in hosts], [dial(host) for host in hosts]]))
"""


@pytest.mark.as_root
def test_a_granted_name_is_reached_and_nothing_else(field: Field, tmp_path: Path) -> None:
    assert os.geteuid() == 0, "`make test` runs these as root"
    requests = tmp_path / "requests"
    requests.touch()
    code = {"kind": "code.run", "python": REACHING, "args": [field.marker], "network": ["good.test", "inside.test"]}
    asked = [
        {"kind": "network.request", "method": "GET", "url": f"http://{host}/by-request"}
        for host in ("good.test", "evil.test", "inside.test", "metadata.test", "own.test", "localhost")
    ]
    granted = [one for host in ("good.test", "inside.test", "metadata.test", "own.test") for one in ("--host", host)]
    ended = run_plan(
        field,
        plan_of(code, *asked),
        *granted,
        started_by=("unshare", "--net", "--mount", sys.executable, "-m", "tests.acceptance.sandbox.public_server"),
        env={"REQUESTS": str(requests), "BASE": str(field.base), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    command, *answers = ended.task.actions
    assert command.word == "completed", (ended.err, command.err)
    by_proxy, direct, dialled = json.loads(command.out)
    assert by_proxy == ["hello", *["held"] * 5]
    assert {*direct, *dialled} == {"held"}
    words = [ran.word for ran in answers]
    assert words == ["completed", "denied/net_denied", *["failed/net_addr"] * 3, "denied/net_denied"], words
    # The command and the request are carried out beside each other.
    came = requests.read_text().splitlines()
    assert sorted(line.split("HTTP/1.1")[0] for line in came) == [
        "93.184.216.34 b'GET /by-request ",
        "93.184.216.34 b'GET /from-good.test ",
    ]
    assert [one for one in ended.task.connections if not one[3]] == [("good.test", 80, "93.184.216.34", "")]
