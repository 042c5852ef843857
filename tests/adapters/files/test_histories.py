"""Random histories of actions, crashes and other programs: every byte ever written can be found again.

It is in a file, in the blob store or in quarantine, unless another program overwrote or removed it itself.
"""

import itertools
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cowork.adapters.files.executor import FileExecutor
from cowork.domain.action import Action, FileCreate, FileDelete, FileMove, FileRename, FileWrite
from cowork.domain.baseline import BASELINE
from cowork.domain.policy import Policy
from cowork.engine.ports import Done, Failed, NotApplied, Permit, Unclear
from tests.adapters.files.cases.direct import DirectDriver, executor_of
from tests.adapters.files.cases.ground import Ground
from tests.adapters.files.crash_client import CrashServer, crash_server

PATHS = st.sampled_from(["a", "b", "d/a", "d/b", "d", "d/e/a", "d/e", "n/a"])
KILLS = st.integers(1, 40)
_NUMBERS = itertools.count(1)


class History(RuleBasedStateMachine):
    """Actions and disturbances in any order."""

    server: CrashServer
    ground: Ground

    def __init__(self) -> None:
        super().__init__()
        for top in (self.ground.grant, self.ground.state / "quarantine", self.ground.state / "blobs"):
            for path in list(top.glob("*")):
                if path.name == "unfinished":
                    continue
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.executor: FileExecutor = executor_of(self.ground.blobs, self.ground.state)
        self.driver = DirectDriver(self.executor, self.ground.blobs, self.ground.scope)
        self.policy = Policy((BASELINE,))
        self.written: set[bytes] = set()

    def teardown(self) -> None:
        """Let go of the granted folder."""
        self.executor.close()

    def _new(self) -> bytes:
        return b"content %d" % next(_NUMBERS)

    def _leave(self, action: Action) -> Permit | None:
        """Observe and decide; None where it is denied."""
        (facts,) = self.executor.observe_now([action], self.ground.scope, datetime.now(UTC), 1)
        if self.policy.decide(action, facts, self.ground.scope).verdict == "deny":
            return None
        return self.driver.permit(action, facts)

    def _action(self, kind: str, path: str, other: str) -> tuple[Action, bytes]:
        at, to, data = self.ground.at(path), self.ground.at(other), self._new()
        match kind:
            case "create":
                return FileCreate(at=at, content=self.ground.content(data)), data
            case "write":
                return FileWrite(at=at, content=self.ground.content(data)), data
            case "delete":
                return FileDelete(at=at), b""
            case "move":
                return FileMove(at=at, to=to), b""
            case _:
                return FileRename(at=at, to=to), b""

    @rule(kind=st.sampled_from(["create", "write", "delete", "move", "rename"]), path=PATHS, other=PATHS)
    def act(self, kind: str, path: str, other: str) -> None:
        """An action from beginning to end."""
        action, data = self._action(kind, path, other)
        permit = self._leave(action)
        if permit is not None:
            outcome = self.executor.perform_now(permit)
            assert isinstance(outcome, Done), outcome
            self.written |= {data} if data else set()
            assert self.executor.reconcile_now(permit) == outcome

    @rule(kind=st.sampled_from(["create", "write", "delete", "move"]), path=PATHS, other=PATHS, kill_at=KILLS)
    def crash(self, kind: str, path: str, other: str, kill_at: int) -> None:
        """An action that is killed somewhere, and looked at afterwards."""
        action, data = self._action(kind, path, other)
        permit = self._leave(action)
        if permit is None:
            return
        self.server.run("perform", permit, kill_at)
        finding = self.executor.reconcile_now(permit)
        assert isinstance(finding, Done | NotApplied)
        if isinstance(finding, Done) and data:
            self.written.add(data)

    @rule(kind=st.sampled_from(["write", "delete", "move"]), path=PATHS, other=PATHS, kill_at=KILLS)
    def crash_and_meddle(self, kind: str, path: str, other: str, kill_at: int) -> None:
        """An action that is killed, and another program that writes to its place before anybody has looked."""
        action, _ = self._action(kind, path, other)
        permit = self._leave(action)
        if permit is None:
            return
        self.server.run("perform", permit, kill_at)
        self.meddle(path)
        finding = self.executor.reconcile_now(permit)
        assert isinstance(finding, Done | NotApplied | Unclear)

    @rule(path=PATHS, other=PATHS, kind=st.sampled_from(["write", "delete", "move"]))
    def decide_too_early(self, kind: str, path: str, other: str) -> None:
        """Another program writes between the decision and the action."""
        action, _ = self._action(kind, path, other)
        permit = self._leave(action)
        if permit is None:
            return
        self.meddle(path)
        outcome = self.executor.perform_now(permit)
        assert isinstance(outcome, Done | Failed)

    @rule(path=PATHS)
    def meddle(self, path: str) -> None:
        """Another program writes a file of its own, in place."""
        place = self.ground.grant / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            before = place.read_bytes() if place.is_file() else None
            data = self._new()
            place.write_bytes(data)
        except OSError:
            return
        # What it wrote over is gone by its own doing, if it was nowhere else.
        if before is not None and before not in self._found():
            self.written.discard(before)
        self.written.add(data)

    @invariant()
    def every_byte_is_somewhere(self) -> None:
        """Nothing that was written is lost."""
        assert self.written <= self._found()

    @invariant()
    def nothing_is_left_over(self) -> None:
        """No temporary file stays behind an action, finished or looked at."""
        assert self.ground.leftovers() == []

    def _found(self) -> set[bytes]:
        folders = (self.ground.grant, self.ground.state / "blobs", self.ground.state / "quarantine")
        return {path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def run_histories(examples: int, steps: int) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as base:
        History.ground = Ground(Path(base))
        with crash_server(History.ground, "openat2") as History.server:
            run_state_machine_as_test(
                History,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    deadline=None,
                    suppress_health_check=[
                        HealthCheck.too_slow,
                        HealthCheck.data_too_large,
                        HealthCheck.filter_too_much,
                    ],
                ),
            )
        History.ground.close()


def test_no_history_loses_a_byte() -> None:
    run_histories(40, 25)


@pytest.mark.fuzz_long
@pytest.mark.timeout(1800)
def test_no_long_history_loses_a_byte() -> None:
    run_histories(2000, 60)
