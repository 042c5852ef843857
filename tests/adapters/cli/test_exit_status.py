"""The tables of exit statuses are complete: no error and no status of a task without one."""

from cowork.adapters.cli.exit_status import EXPLAINED, OF_ERROR, OF_TASK, ExitStatus, worst
from cowork.domain.errors import ERROR_CODES
from cowork.domain.task import FINAL_STATUSES, TASK_STATUSES


def test_every_error_code_and_every_status_of_a_task_has_an_exit_status() -> None:
    assert set(OF_ERROR) == set(ERROR_CODES)
    assert set(OF_TASK) == set(TASK_STATUSES)


def test_only_a_task_that_did_all_it_should_counts_as_done() -> None:
    done = {status for status, exit_status in OF_TASK.items() if exit_status == ExitStatus.DONE}
    assert done == {"completed", "completed_with_skips"}


def test_a_task_that_can_go_on_waits() -> None:
    waiting = {status for status, exit_status in OF_TASK.items() if exit_status == ExitStatus.WAITING}
    assert waiting == set(TASK_STATUSES) - set(FINAL_STATUSES)


def test_the_help_explains_every_status() -> None:
    assert all(f" {status.value} " in f" {EXPLAINED}" for status in ExitStatus)


def test_of_several_the_worst_counts() -> None:
    assert worst([]) == ExitStatus.DONE
    assert worst([ExitStatus.DONE, ExitStatus.WAITING]) == ExitStatus.WAITING
    assert worst([ExitStatus.WAITING, ExitStatus.DENIED, ExitStatus.FAILED, ExitStatus.DONE]) == ExitStatus.FAILED
