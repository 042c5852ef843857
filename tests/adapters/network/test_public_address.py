"""A public address that is really dialled, on a wire between two network namespaces of this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_a_public_address_is_dialled_and_this_machines_own_is_not() -> None:
    command = ["unshare", "-U", "-r", "-n", sys.executable, "-m", "tests.adapters.network.public_address"]
    environment = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert "200, 6 bytes from good.test (93.184.216.34)" in found["asked"]
    assert "200, 6 bytes from 93.184.216.34" in found["literal"]
    assert "`good.test` leads to `93.184.216.1`, which is an address of this machine" in found["own"]
    assert found["tunnelled"].startswith("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK")
    assert found["refused"].startswith("HTTP/1.1 403 Forbidden")
    assert found["told"] == [["good.test", 80, "93.184.216.34", None], ["good.test", 80, "", "net_addr"]]
