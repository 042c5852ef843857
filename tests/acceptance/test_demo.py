"""`cowork demo`, as a newcomer runs it: without a terminal, in one, and with answers of one's own."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.adapters.cli.command_line import CommandLine, Ended, Terminal

KEYS = "a approve once"
TIDY = {
    ".env",
    "ideas.md",
    "invoices/Rechnung März.csv",
    "invoices/invoice-2024-03.csv",
    "invoices/invoice-2024-04.csv",
    "meeting notes.txt",
    "pictures/IMG_0001.png",
    "pictures/IMG_0002.png",
    "pictures/scan.jpg",
    "read me first.txt",
    "reports/contents.md",
    "reports/inbox.md",
    "reports/totals.csv",
    "reports/totals.svg",
    "todo.txt",
}


def _files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _messy(cowork: CommandLine) -> dict[str, str]:
    """Return the files of the folder that the demo begins with: they are always the same."""
    return _files(_as_it_was(cowork))


def _play(cowork: CommandLine) -> tuple[Path, Ended]:
    """Play the demo where nobody is at a terminal: it takes a dozen processes."""
    process = cowork.start("demo", "--folder", "demo")
    out, err = process.communicate(timeout=240)
    return cowork.folder / "demo", Ended(process.returncode, out, err)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandLine, Path, Ended]:
    """A demo that was played once, for those who only look."""
    cowork = CommandLine(tmp_path_factory.mktemp("demo"))
    root, run = _play(cowork)
    cowork.store = root / "store"
    return cowork, root, run


@pytest.fixture
def played(cowork: CommandLine) -> tuple[Path, Ended]:
    """A demo of one's own."""
    root, run = _play(cowork)
    cowork.store = root / "store"
    return root, run


def test_without_a_terminal_it_answers_with_the_commands_that_a_person_would_use(
    stage: tuple[CommandLine, Path, Ended],
) -> None:
    cowork, root, run = stage
    assert (run.status, run.err) == (0, ""), run
    assert _files(root / "inbox") == _messy(cowork)
    typed = re.findall(r"^  \$ (cowork .*)$", run.out, re.MULTILINE)
    answers = [line for line in typed if re.fullmatch(r"cowork confirmation approve \S+ --digest [0-9a-f]{8}", line)]
    assert len(answers) == 9
    assert len([line for line in typed if line.startswith("cowork resume task-")]) == 5
    assert len([line for line in typed if line.startswith("cowork undo task-")]) == 1
    assert "[exit status 1]" in run.out
    assert re.search(r"checked \d+ events.* 0 violations", run.out)
    assert "what it says was moved, deleted and made is so; nothing else was touched" in run.out
    assert "every file is back where it was, with every byte that it had" in run.out


def test_its_two_helpers_work_beside_each_other_and_do_no_more_than_they_were_given(
    stage: tuple[CommandLine, Path, Ended],
) -> None:
    cowork, _, run = stage
    assert '"adder" may touch: folders inbox within invoices (read), no granted host, only file.search' in run.out
    assert '"writer" may touch: folders inbox within reports (read, create), no granted host' in run.out
    # 18.40 + 64.90 + 12.00 + 39.95 + 27.50 + 410.00, the copy left out.
    assert '"adder" found 6 amounts, which come to 572.75' in run.out
    assert '"writer" was refused what it was not given: `todo.txt` lies outside the part of `inbox`' in run.out
    tasks = {task["title"]: task for task in cowork.run("task", "list", "--json").json()}
    assert (tasks["adder"]["status"], tasks["writer"]["status"]) == ("completed", "blocked")
    assert tasks["adder"]["parentTaskId"] == tasks["writer"]["parentTaskId"] == tasks["Tidy the inbox"]["taskId"]


def test_what_it_took_back_can_be_had_again(played: tuple[Path, Ended], cowork: CommandLine) -> None:
    root, _ = played
    tasks = {task["title"]: task for task in cowork.run("task", "list", "--json").json()}
    again = cowork.run("undo", tasks["undo: Tidy the inbox"]["taskId"], "--answer", "approve")
    assert again.status == 0, again
    assert set(_files(root / "inbox")) == TIDY
    _assert_totals_are_right(root / "inbox")


def test_its_program_runs_in_the_sandbox_and_what_it_makes_is_decided_on_its_way_into_the_folder(
    stage: tuple[CommandLine, Path, Ended],
) -> None:
    cowork, root, _ = stage
    rows = cowork.run("audit", "log", "--json", "--store", str(root / "store")).json()
    (program,) = [row for row in rows if row["kind"] == "code.run"]
    made = {row["target"]: row["outcome"] for row in rows if row["stagedBy"] == program["actionId"]}
    assert made == {"reports/totals.csv": "succeeded", "reports/totals.svg": "succeeded"}


def _assert_totals_are_right(inbox: Path) -> None:
    totals = (inbox / "reports/totals.csv").read_text(encoding="utf-8").splitlines()
    assert totals == ["invoice,total", "Rechnung März,410.00", "invoice-2024-03,83.30", "invoice-2024-04,79.45"]
    chart = ET.parse(inbox / "reports/totals.svg").getroot()
    labels = [text.text for text in chart.iter("{http://www.w3.org/2000/svg}text")]
    assert labels[:2] == ["Rechnung März", "410.00"]
    assert "The invoices come to 572.75." in (inbox / "reports/inbox.md").read_text(encoding="utf-8")


def test_its_tries_to_send_the_invoices_away_are_refused_and_in_the_summary(
    stage: tuple[CommandLine, Path, Ended],
) -> None:
    _, _, run = stage
    assert "not sent POST https://collector.example/, denied: the host was not granted" in run.out
    assert re.search(r"create_connection.*, without success: .*Operation not permitted", run.out)


def test_it_shows_no_secret_and_no_hidden_character_and_its_sums_are_right(
    stage: tuple[CommandLine, Path, Ended],
) -> None:
    _, root, run = stage
    assert "\x1b" not in run.out
    assert "\u202e" not in run.out
    assert "totals\\u202egnp.\\x1b[2J\\x1b[31mexe\\n.csv" in run.out
    for secret in (root / "inbox/.env", root / "outside/diary.txt"):
        assert secret.read_text(encoding="utf-8").strip() not in run.out
    for plan in (root / "plans/survey.toml", root / "plans/tidy.toml"):
        assert "[[step]]" in plan.read_text(encoding="utf-8")


def test_what_it_leaves_behind_is_what_the_ordinary_commands_show(
    stage: tuple[CommandLine, Path, Ended],
) -> None:
    cowork, root, run = stage
    store = ("--store", str(root / "store"))
    tasks = {task["title"]: task for task in cowork.run("task", "list", "--json", *store).json()}
    assert {title: task["status"] for title, task in tasks.items()} == {
        "Look at the inbox": "completed",
        "Tidy the inbox": "failed",
        "adder": "completed",
        "writer": "blocked",
        "undo: Tidy the inbox": "completed",
    }
    task_id = tasks["Tidy the inbox"]["taskId"]
    for look in (["task", "summary", task_id], ["audit", "log", "--task", task_id]):
        shown = cowork.run(*look, *store)
        assert shown.status == 0
        assert shown.out in run.out
    replayed = cowork.run("replay", task_id, *store).out.splitlines()
    assert [line for line in replayed if line and line not in run.out] == []
    refused = [row for row in cowork.run("audit", "log", "--json", *store).json() if row["verdict"] == "deny"]
    assert sorted((row["ruleId"], row["target"].rpartition("/")[2]) for row in refused) == [
        ("invariant.grant-within", "todo.txt"),
        ("invariant.path", "diary.txt"),
        ("no-network", ""),
        ("sensitive-files-stay-closed", ".env"),
    ]


def test_by_default_it_makes_a_temporary_folder_and_names_it(cowork: CommandLine) -> None:
    folder = cowork.folder / "temporary"
    folder.mkdir()
    process = cowork.start("demo", env={"TMPDIR": str(folder)})
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    (made,) = folder.glob("cowork-demo-*")
    assert f"The demo is in {made} and stays there." in out
    assert _files(made / "inbox") == _messy(cowork)


@pytest.mark.parametrize("name", ["full", "file"])
def test_a_folder_that_holds_something_is_refused_and_left_alone(cowork: CommandLine, name: str) -> None:
    (cowork.folder / "full").mkdir()
    (cowork.folder / "full/mine.txt").write_text("mine")
    (cowork.folder / "file").write_text("mine")
    run = cowork.run("demo", "--folder", name)
    assert run.status == 2
    assert run.says(f"`{name}` is not")
    assert _files(cowork.folder / "full") == {"mine.txt": hashlib.sha256(b"mine").hexdigest()}


@pytest.fixture
def terminal(cowork: CommandLine) -> Iterator[Terminal]:
    with cowork.terminal("demo", "--folder", "demo") as terminal:
        yield terminal


def _press_at_each_question(terminal: Terminal, keys: str) -> None:
    for number, key in enumerate(keys, start=1):
        terminal.read_until(KEYS, count=number)
        terminal.press(key)


def test_in_a_terminal_it_asks_and_the_answers_count(cowork: CommandLine, terminal: Terminal) -> None:
    _press_at_each_question(terminal, "aaaaaa")
    # The program is longer than the screen: there is no yes to it before its end was shown.
    terminal.read_until("Space for more")
    terminal.press(" ")
    terminal.read_until(KEYS, count=7)
    terminal.press("a")
    terminal.read_until("You changed your mind")
    pages = 1
    for number in (8, 9):
        pages = _read_to_the_end_of_a_card(terminal, number, pages)
        terminal.press("a")
    assert terminal.ended(120) == 0, terminal.text
    assert "$ cowork confirmation approve" not in terminal.text
    assert "every file is back where it was" in terminal.text
    assert _files(cowork.folder / "demo/inbox") == _messy(cowork)


def _read_to_the_end_of_a_card(terminal: Terminal, number: int, pages: int) -> int:
    """Turn the pages of the `number`-th card until it can be answered; return how many were turned, `pages` before."""
    while terminal.text.count(KEYS) < number:
        terminal.read(0.3)
        if terminal.text.count("Space for more") > pages:
            pages += 1
            terminal.press(" ", after=0.2)
    return pages


def test_an_undo_that_is_left_at_the_end_of_the_demo_says_how_it_goes_on(
    cowork: CommandLine, terminal: Terminal
) -> None:
    # The deletions and the command are refused, so that little is left to do, and to undo.
    _press_at_each_question(terminal, "rrrq")
    assert terminal.ended(120) == 3, terminal.text
    command = re.search(r"cowork (resume task-\w+ --store \S+)", terminal.text.rpartition("whenever you like")[2])
    assert command is not None, terminal.text
    assert cowork.run(*command[1].split(), "--answer", "approve").status == 0
    assert _files(cowork.folder / "demo/inbox") == _messy(cowork)


def test_what_is_rejected_is_left_and_the_demo_says_the_truth_about_it(cowork: CommandLine, terminal: Terminal) -> None:
    # Both deletions are refused, and the command; what needs the deletions is then not even asked about. In the end
    # the undo of what little was done is refused, too.
    _press_at_each_question(terminal, "rrrr")
    assert terminal.ended(120) == 0, terminal.text
    names = set(_files(cowork.folder / "demo/inbox"))
    assert names >= {"IMG_0001 (1).png", "invoice-2024-03.csv", "reports/inbox.md"}
    assert len(names) == 14
    assert "rejected by person:" in terminal.text


def test_a_demo_that_is_left_says_how_it_goes_on(cowork: CommandLine, terminal: Terminal) -> None:
    _press_at_each_question(terminal, "qqq")
    assert terminal.ended(120) == 3, terminal.text
    command = re.search(r"cowork (resume task-\w+ --store \S+)", terminal.text.rpartition("whenever you like")[2])
    assert command is not None, terminal.text
    assert cowork.run(*command[1].split(), "--answer", "approve").status == 1
    assert set(_files(cowork.folder / "demo/inbox")) == TIDY


def test_the_checks_at_the_end_notice_what_is_not_as_it_says(played: tuple[Path, Ended], cowork: CommandLine) -> None:
    from cowork.adapters.cli.demo_check import Before, complaints_about, complaints_about_undo
    from cowork.adapters.cli.task_rows import summary_in, task_in

    root, _ = played
    ids = {task["title"]: task["taskId"] for task in cowork.run("task", "list", "--json").json()}
    undo = ids["undo: Tidy the inbox"]
    with cowork.engine() as engine:
        summaries = [summary_in(engine, task_in(engine, name)) for name in (ids["Tidy the inbox"], undo)]
    inbox, outside = root / "inbox", root / "outside/diary.txt"
    before = Before.of(_as_it_was(cowork), outside)
    assert complaints_about_undo(inbox, before, summaries) == []
    assert cowork.run("undo", undo, "--answer", "approve").status == 0
    assert complaints_about(inbox, outside, before, summaries[0]) == []
    assert "invoices/invoice-2024-03.csv should not be there" in complaints_about_undo(inbox, before, summaries)
    (inbox / "invoices/invoice-2024-03.csv").unlink()
    (inbox / "todo.txt").write_text("changed")
    (inbox / "new.txt").write_text("new")
    outside.write_text("read and changed")
    assert complaints_about(inbox, outside, before, summaries[0]) == [
        "invoices/invoice-2024-03.csv is missing",
        "new.txt should not be there",
        "todo.txt has another content",
        "the file outside was changed",
    ]


def _as_it_was(cowork: CommandLine) -> Path:
    """Make the messy folder again: it is always the same."""
    from cowork.adapters.cli.demo_folder import make_folder

    folder = cowork.folder / "as-it-was"
    if not folder.exists():
        folder.mkdir()
        make_folder(folder)
    return folder
