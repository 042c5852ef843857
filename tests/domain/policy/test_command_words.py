"""Argument vectors and lines of a shell as policy reads them, held against what a real `sh` makes of them.

A line is run in an empty folder with nothing on its search path; the programs that it may name are functions that write
down their arguments. They all succeed in one run and all fail in another, so that what stands behind `&&` and behind
`||` is reached. Policy must know every command that was run, word for word, and no other: more than is run may only be
known of a line that `sh` itself does not take, or that goes on behind a program that is none.
"""

import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cowork.domain.policy_command import RUNNERS, SHELLS, simple_commands

Command: TypeAlias = tuple[str, ...]

PROGRAMS: Final = ("p", "q", "ls", "git", "rm", "cat")
NEITHER: Final = (
    "sh",
    "env",
    "if",
    "then",
    "do",
    "fi",
    "a-b",
    "./zz",
    "1",
    "x=1",
    "-",
    "p=",
    "''",
    '""',
    "=",
    "esac",
    "in",
    "alias p=q\n",
    "alias ls='rm x'\n",
    "trap p EXIT\n",
    "hash",
)
SEPARATORS: Final = (
    " ",
    " ",
    " ",
    "\t",
    "\n",
    ";",
    "&&",
    "||",
    "|",
    "&",
    ";;",
    "|&",
    "&&&",
    "\n\n",
    " ; ",
    " && ",
    " || ",
    " | ",
)
WORDS: Final = ("status", "-la", "a b", "x", "--", "-c", ".", "..", "a/b", "k=v", "@", "%1", "^", "+x", "a,b", "e:f")
PIECES: Final = ("'", '"', "'a b'", '"a;b"', "'&&'", '"\'"', "''", '"|"', "'x\ny'", '"p q"')
SLOW: Final = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)

END: Final = "(end)"
"""What the functions write down behind the last argument: a line that policy reads can't spell it."""

OUTSIDE: Final = (
    "$",
    "`",
    "\\",
    "*",
    "?",
    "~",
    "#",
    "(",
    ")",
    "{",
    "}",
    "<",
    ">",
    "!",
    "[",
    "\r",
    "\x00",
    "é",
    "\u202e",
    "\xa0",
)

TOKENS = st.one_of(
    *(st.sampled_from(one) for one in (PROGRAMS, PROGRAMS, SEPARATORS, SEPARATORS, SEPARATORS, WORDS, PIECES))
)
RARE = st.one_of(TOKENS, TOKENS, TOKENS, st.sampled_from(NEITHER), st.sampled_from(OUTSIDE))
COMMANDS = st.lists(st.sampled_from((*WORDS, *PIECES[2:])), max_size=3).flatmap(
    lambda words: st.sampled_from(PROGRAMS).map(lambda program: " ".join((program, *words)))
)
LINES = st.one_of(
    st.lists(TOKENS, max_size=14).map("".join),
    st.lists(RARE, max_size=14).map("".join),
    st.lists(st.tuples(COMMANDS, st.sampled_from(SEPARATORS)), max_size=5).map(
        lambda parts: "".join(command + between for command, between in parts)
    ),
)
ARGUMENTS = st.lists(st.one_of(st.text(max_size=6), RARE, st.sampled_from(sorted(SHELLS | RUNNERS))), max_size=5).map(
    tuple
)


class Ran:
    """What one line came to in a shell: the commands of each run, and whether `sh` took the line."""

    def __init__(self, with_success: list[Command], with_failure: list[Command], *, is_taken: bool) -> None:
        self.with_success = with_success
        self.with_failure = with_failure
        self.is_taken = is_taken


def run_in_sh(lines: list[str]) -> list[Ran]:
    """Run each line twice in a shell of its own, all of them from one script."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty").mkdir()
        script = ["PATH=/nonexistent", "cd empty", "exec </dev/null 2>/dev/null"]
        # One write for each command, which no other can come between.
        script += [
            f"{name}() {{ printf '%s\\000' {name} \"$@\" '{END}' >> \"$_out\"; return $_code; }}" for name in PROGRAMS
        ]
        for number, line in enumerate(lines):
            quoted = line.replace("'", "'\\''")
            for code in (0, 1):
                script.append(
                    f"( _out=../{number}.{code} _code={code}; eval '{quoted}' ); [ $? = 2 ] && : > ../{number}.bad"
                )
        script.append("exit 0")
        subprocess.run(
            ["/bin/sh"], input="\n".join(script).encode(), cwd=folder, env={}, check=True, stdout=subprocess.DEVNULL
        )
        top = Path(folder)
        assert list((top / "empty").iterdir()) == [], "a line wrote something"
        return [
            Ran(
                written(top / f"{number}.0"),
                written(top / f"{number}.1"),
                is_taken=not (top / f"{number}.bad").exists(),
            )
            for number in range(len(lines))
        ]


def written(path: Path) -> list[Command]:
    """Return the commands that the functions wrote down: words with a zero byte each, and `END`."""
    if not path.exists():
        return []
    found: list[Command] = []
    words: list[str] = []
    for word in path.read_bytes().decode().split("\0")[:-1]:
        if word == END:
            found.append(tuple(words))
            words = []
        else:
            words.append(word)
    assert not words
    return found


def assert_read_as_by_sh(lines: list[str]) -> Counter[str]:
    """Compare; return how many lines were read, and how many were left unknown."""
    counts: Counter[str] = Counter()
    read = {line: known for line in lines if (known := simple_commands(("sh", "-c", line))) is not None}
    counts["unknown"] = len(lines) - len(read)
    for (line, known), ran in zip(read.items(), run_in_sh(list(read)), strict=True):
        counts["read"] += 1
        ours = Counter(command for command in known if command[0] in PROGRAMS)
        for run in (ran.with_success, ran.with_failure):
            assert Counter(run) <= ours, f"{line!r} was read as {known}, and sh ran {run}"
        is_open = any(command[0] not in PROGRAMS for command in known)
        if ran.is_taken and not is_open:
            assert {*ran.with_success, *ran.with_failure} == set(ours), (
                f"{line!r} was read as {known}, and sh ran {vars(ran)}"
            )
            counts["agreed"] += 1
    return counts


def assert_never_raises(argv: Command) -> None:
    known = simple_commands(argv)
    assert known is None or all(command and command[0] for command in known)


@settings(max_examples=20, suppress_health_check=SLOW)
@given(st.lists(LINES, min_size=50, max_size=50))
def test_a_line_is_read_as_sh_reads_it(lines: list[str]) -> None:
    assert_read_as_by_sh(lines)


@given(ARGUMENTS)
def test_no_argument_vector_is_too_much(argv: Command) -> None:
    assert_never_raises(argv)


def test_the_oracle_hears_every_command() -> None:
    (ran,) = run_in_sh(["p 'a b' \"\" c && q || rm -x\nls; cat | git"])
    assert ran.with_success[:2] == [("p", "a b", "", "c"), ("q",)]
    assert sorted(ran.with_success[2:]) == [("cat",), ("git",), ("ls",)]
    assert ran.with_failure[:3] == [("p", "a b", "", "c"), ("rm", "-x"), ("ls",)]
    assert ran.is_taken
    (refused,) = run_in_sh(["p && ;"])
    assert not refused.is_taken
    with pytest.raises(AssertionError, match="was read as"):
        # A reader that took the quotes for letters would be noticed.
        assert Counter([("p", "a b")]) <= Counter([("p", "'a", "b'")]), "was read as"


@pytest.mark.fuzz_long
@pytest.mark.timeout(3600)
@settings(max_examples=800, suppress_health_check=SLOW, database=None)
@given(st.lists(LINES, min_size=60, max_size=60), st.lists(ARGUMENTS, min_size=20, max_size=20))
def test_48_000_lines_are_read_as_sh_reads_them(lines: list[str], vectors: list[Command]) -> None:
    assert_read_as_by_sh(lines)
    for argv in vectors:
        assert_never_raises(argv)
