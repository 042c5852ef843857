"""A page of the documentation as something that can be run: what it asks the reader to write, type and expect.

How a page is written:

- A block ```` ```toml plan.toml ```` (any language, then a relative file name) is written to that file.
- A block ```` ```console ```` is typed: each line after `$ ` is a command (`> ` continues it), the lines below are its
  output. A line `…` stands for any number of lines, `…` within a line for any text, and a last line
  `[exit status 3]` for a command that is expected to fail. Commands of one page share one shell and one empty folder.
- In a command, an id shortened with `…` (`task-…`) is the last id with that prefix that the page has printed, and
  `--digest …` the digest that was last printed behind the question's id.
- A block ```` ```python run ```` is run as a program; it says with `assert` what is true.
- A comment `<!-- prepare` … `-->` holds commands, one a line, that a reader need not see; each must succeed.

Every other block is only shown. Use `sh` for commands that can't be run from a test, such as cloning the repository.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.house.tree import ROOT

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")
_EXIT_STATUS = re.compile(r"^\[exit status (\d+)\]$")
_SHORTENED_ID = re.compile(r"\b([a-z]+-)…")
_SHORTENED_DIGEST = re.compile(r"(?<=--digest )…")
_DONE = "command-done-7f3a"


@dataclass(frozen=True)
class Block:
    """One fenced block or prepare comment; `line` is where it begins, from 1."""

    line: int
    info: tuple[str, ...]
    text: str

    @property
    def file_name(self) -> str | None:
        """The file that the reader is asked to write, if any."""
        return self.info[1] if len(self.info) == 2 and re.search(r"[./]", self.info[1]) else None

    @property
    def runs(self) -> bool:
        """Whether the block does something when the page is run."""
        return self.info in (("console",), ("prepare",), ("python", "run")) or self.file_name is not None


@dataclass(frozen=True)
class Command:
    """What is typed, what is shown for it, and how it is expected to end."""

    line: int
    text: str
    output: tuple[str, ...]
    exit_status: int


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks and prepare comments of a page, in order."""
    found: list[Block] = []
    lines = page.splitlines()
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence:
            end = _end_of_fence(lines, at, fence)
            indent = len(fence["indent"])
            text = "".join(f"{line[indent:] if line[:indent].isspace() else line}\n" for line in lines[at + 1 : end])
            found.append(Block(at + 1, tuple(fence["info"].split()), text))
            at = end
        elif lines[at].strip() == "<!-- prepare":
            end = lines.index("-->", at)
            found.append(Block(at + 1, ("prepare",), "".join(f"{line}\n" for line in lines[at + 1 : end])))
            at = end
        at += 1
    return found


def _end_of_fence(lines: list[str], start: int, fence: re.Match[str]) -> int:
    for at in range(start + 1, len(lines)):
        if lines[at].strip().startswith(fence["fence"]) and not lines[at].strip().strip(fence["fence"][0]):
            return at
    raise AssertionError(f"line {start + 1}: the block never ends")


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block with what is shown for each."""
    found: list[Command] = []
    for line, text in enumerate(block.text.splitlines(), start=block.line + 1):
        status = _EXIT_STATUS.match(text)
        if text.startswith("$ "):
            found.append(Command(line, text[2:], (), 0))
            continue
        assert found, f"line {line}: a console block begins with a command, `$ …`"
        last = found[-1]
        if text.startswith("> ") and not last.output:
            found[-1] = Command(last.line, f"{last.text}\n{text[2:]}", (), 0)
        elif status:
            found[-1] = Command(last.line, last.text, last.output, int(status[1]))
        else:
            found[-1] = Command(last.line, last.text, (*last.output, text.rstrip()), last.exit_status)
    return found


def _prepared(block: Block) -> list[Command]:
    lines = enumerate(block.text.splitlines(), start=block.line + 1)
    return [Command(line, text, ("…",), 0) for line, text in lines if text.strip()]


def matches(shown: list[str], printed: list[str]) -> bool:
    """Whether the printed lines are the shown ones, with `…` for what a page leaves out.

    Empty lines at the end do not count: a page may have one before its next command.
    """
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else ".*?".join(re.escape(part) for part in line.split("…")) + r"\n"
        for line in _without_empty_end(shown)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _without_empty_end(printed))) is not None


def _without_empty_end(lines: list[str]) -> list[str]:
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines


class Reader:
    """Somebody who does what a page says, in an empty folder, with one shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self._printed = ""
        home = folder / "home"
        home.mkdir()
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "TERM": "dumb",
        }
        self._environment = environment
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.kill()
        self._shell.communicate()

    def follow(self, page: str) -> list[str]:
        """Do what the page says and return what was not as it says; the first surprise ends the reading."""
        for block in blocks(page):
            complaints = self._do(block) if block.runs else []
            if complaints:
                return complaints
        return []

    def _do(self, block: Block) -> list[str]:
        if block.file_name is not None:
            return self._write(block, block.file_name)
        if block.info == ("python", "run"):
            return self._run_program(block)
        for command in _prepared(block) if block.info == ("prepare",) else commands(block):
            complaints = self._type(command)
            if complaints:
                return complaints
        return []

    def _write(self, block: Block, name: str) -> list[str]:
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            return [f"line {block.line}: {name} lies outside the reader's folder"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        return []

    def _run_program(self, block: Block) -> list[str]:
        run = subprocess.run(
            [sys.executable, "-c", block.text],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return [f"line {block.line}: the program fails:\n{run.stdout}{run.stderr}"] if run.returncode else []

    def _type(self, command: Command) -> list[str]:
        try:
            text = _SHORTENED_ID.sub(self._last_id, command.text)
            if _SHORTENED_DIGEST.search(text):
                text = _SHORTENED_DIGEST.sub(self._last_digest(text), text)
        except LookupError as error:
            return [f"line {command.line}: {error.args[0]}"]
        status, printed = self._execute(text)
        if status is None:
            return [f"line {command.line}: `{command.text}` ended the shell"]
        complaints: list[str] = []
        if status != command.exit_status:
            complaints.append(f"line {command.line}: `{text}` ended with {status}, not {command.exit_status}")
        if not matches(list(command.output), printed):
            complaints.append(f"line {command.line}: `{text}` does not print what the page shows")
        return [*complaints, "it printed:", *printed] if complaints else []

    def _execute(self, text: str) -> tuple[int | None, list[str]]:
        """Run one command in the shell and return its exit status (None: the shell is gone) and its lines."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        # The command must not read what is typed next, and its last line may lack a newline.
        self._shell.stdin.write(f"{{ {text}\n}} </dev/null; printf '\\n%s %d\\n' {_DONE} $?\n")
        self._shell.stdin.flush()
        printed: list[str] = []
        for line in self._shell.stdout:
            if line.startswith(f"{_DONE} "):
                self._printed += "".join(f"{line}\n" for line in printed)
                if printed and printed[-1] == "":
                    printed.pop()
                return int(line.split()[1]), printed
            printed.append(line.rstrip())
        return None, printed

    def _last_id(self, shortened: re.Match[str]) -> str:
        prefix = shortened[1]
        found = re.findall(rf"\b{re.escape(prefix)}[0-9A-Za-z.]*[0-9A-Za-z]", self._printed)
        if not found:
            raise LookupError(f"no id that begins with {prefix} has been printed so far")
        return str(found[-1])

    def _last_digest(self, command: str) -> str:
        question = re.search(r"\bconfirmation-[0-9a-z]+", command)
        name = question[0] if question else "confirmation-"
        found = re.findall(rf"\b{re.escape(name)}(?: --digest| +) *([0-9a-f]{{8,}})\b", self._printed)
        if not found:
            raise LookupError(f"no digest of {name} has been printed so far")
        return str(found[-1])


def pages() -> list[Path]:
    """Return README.md and every page below docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
