"""A disk that is full: what was recorded is said to be recorded, and what was not is not."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_who_asks_for_something_on_a_full_disk_is_told_whether_it_is_on_record(tmp_path: Path) -> None:
    ran = subprocess.run(
        ["unshare", "--map-root-user", "--mount", sys.executable, "-m", "tests.adapters.cli.full_disk", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    for answer in answers:
        is_said = answer["status"] == 0 or "this is recorded, but the overview of it can't be" in answer["err"]
        assert is_said == answer["on_record"], answer
        assert "deleted at any time" not in answer["err"]
        if "database or disk is full" in answer["err"]:
            assert "hint: make room on its disk; nothing of the log is lost" in answer["err"]
    ways = {(answer["status"], answer["on_record"]) for answer in answers}
    assert ways == {(0, True), (1, True), (1, False)}, "each of the three was met"
