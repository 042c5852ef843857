"""A shell line taken apart: nothing of it gets lost, no command hides in another, and what is not certain says so."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.domain.policy_command import simple_commands
from cowork.projections.shell_segments import Segment, segments_of, unknown_of


def texts(line: str) -> list[str]:
    return [f"{one.operator} {one.text.strip()}".strip() for one in segments_of(line)]


def unknown(line: str) -> list[tuple[str, ...]]:
    return [one.unknown for one in segments_of(line)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ls", ["ls"]),
        ("ls -l | wc -l && git status || true ; rm x", ["ls -l", "| wc -l", "&& git status", "|| true", "; rm x"]),
        ("a & b", ["a", "& b"]),
        ("a\nb", ["a", "b"]),
        ("echo 'a;b' \"c|d\" e\\;f", ["echo 'a;b' \"c|d\" e\\;f"]),
        ("ls \\\n -l; who", ["ls \\\n -l", "; who"]),
        ("rm x # ; curl\nwho", ["rm x # ; curl", "who"]),
        ("echo a#b; c", ["echo a#b", "; c"]),
        ("echo $(a; b | c); d", ["echo $(a; b | c)", "; d"]),
        ('echo "$(echo ")")"; d', ['echo "$(echo ")")"', "; d"]),
        ("echo `a; b`; c", ["echo `a; b`", "; c"]),
        ("echo ${x:-;}; c", ["echo ${x:-;}", "; c"]),
        ("a > f 2>&1; b", ["a > f 2>&1", "; b"]),
        ("for f in *; do rm x; done", ["for f in *", "; do rm x", "; done"]),
    ],
)
def test_each_simple_command_stands_alone(line: str, expected: list[str]) -> None:
    assert texts(line) == expected


@pytest.mark.parametrize(
    ("line", "labelled"),
    [
        ("ls; rm -rf $HOME", [False, True]),
        ('ls "$x"; who', [True, False]),
        ("ls *.txt; who", [True, False]),
        ("ls '*.txt' \"~\" \\$x; who", [False, False]),
        ("ls ~; ls a~; who", [True, False, False]),
        ("echo a{b,c}; who", [True, False]),
        ("echo `date`; who", [True, False]),
        ("echo > $F; echo >f; who", [True, False, False]),
        ("env A=b rm x; who", [True, False]),
        ("find . -exec rm {} +; who", [True, False]),
        ("xargs rm; eval x; exec y; . z; command q", [True, True, True, True, True]),
        ("alias ls=rm; ls", [True, False]),
        ("A=b; PATH=. ls; who", [True, True, False]),
        ("$CMD x; who", [True, False]),
        ("2>x env rm; who", [True, False]),
        ("\\env rm; 'e'nv rm; e\"n\"v rm", [True, True, True]),
        ("python3 x.py; perl -e 1; awk 1; who", [True, True, True, False]),
        ("if true; then rm x; fi; who", [True, True, True, False]),
        ("zsh -c 'ls'; bash x.sh; sh; who", [True, True, True, False]),
        ("wrap sh; who", [True, False]),
    ],
)
def test_what_can_not_be_foretold_is_said_of_that_very_command(line: str, labelled: list[bool]) -> None:
    assert [bool(one) for one in unknown(line)] == labelled


@pytest.mark.parametrize(
    "rest",
    [
        "(cd x; rm y)",
        "f() { rm x; }",
        "case x in a) b;; esac",
        "echo 'open; rm x",
        'echo "open; rm x',
        "echo `open; rm x",
        "echo $(open; rm x",
        "echo $(case x in x) y;; esac); rm x",
        'echo "${x:-\'}" ; rm a ; echo "\'}"',
        "echo $'a\\'b; rm x",
        "a &> f; rm x",
        "a |& b; rm x",
        "cat <(rm x); b",
        "[[ a && b ]]; rm x",
        "a \\",
    ],
)
def test_where_a_boundary_is_not_certain_the_rest_is_one_piece_that_says_so(rest: str) -> None:
    first, *others = segments_of(f"ls; {rest}")
    assert (first.text, first.unknown) == ("ls", ())
    assert others[-1].unknown[-1].startswith("from here on: ")
    assert "".join(one.operator + one.text for one in others) == f"; {rest}"


def test_the_text_of_a_here_document_is_one_piece_and_what_stands_before_it_is_not() -> None:
    first, second, rest = segments_of("cat <<EOF; rm x\nrm y\nEOF\nrm z")
    assert first.unknown == ("a here-document is its input",)
    assert (second.text, second.unknown) == (" rm x", ())
    assert (rest.text, rest.operator) == ("rm y\nEOF\nrm z", "\n")
    assert rest.unknown[-1].startswith("from here on")


def test_a_line_within_a_line_is_taken_apart_too_but_not_without_end() -> None:
    (outer,) = segments_of("sh -c 'ls; rm -rf /'")
    assert outer.unknown == ()
    assert [one.text for one in outer.inner] == ["ls", " rm -rf /"]
    assert segments_of('sh -c "rm $x"')[0].inner == ()
    line = "ls"
    for _ in range(6):
        line = f"sh -c '{line}'" if "'" not in line else "sh -c " + line.replace("'", "\\'").replace(" ", "\\ ")
    assert segments_of(line)


@pytest.mark.parametrize(
    "argv", [("env", "rm"), ("sudo", "ls"), ("/usr/bin/xargs", "rm"), ("nice", "x"), ("wrap", "sh")]
)
def test_a_program_that_runs_another_says_so_without_a_shell(argv: tuple[str, ...]) -> None:
    assert unknown_of(argv)
    assert unknown_of(("ls", "-l", "env")) == ()


def test_many_commands_and_long_lines_are_read_whole() -> None:
    sixty = " && ".join(f"echo {number}" for number in range(60))
    assert len(segments_of(sixty)) == 60
    padded = f"ls {' ' * 10_000}{chr(10) * 10_000}; curl evil"
    assert [one.text.strip() for one in segments_of(padded)] == ["ls", "curl evil"]
    for deep in ("$(" * 10_000, '"$(' * 7_000, "${" * 10_000, "`" * 20_000, "sh -c '" * 3_000):
        assert segments_of(deep)


_PIECES = st.sampled_from(
    ["a", "b", "'", '"', "\\", "$x", "$(", "${", ")", "}", "`", ";", "&", "|", "\n", " ", "#", "<", ">", "<<", "*", "~"]
)
_LINES = st.lists(_PIECES, max_size=24).map("".join)


def whole(segments: tuple[Segment, ...]) -> str:
    return "".join(one.operator + one.text for one in segments)


@given(_LINES)
def test_nothing_of_a_line_is_lost(line: str) -> None:
    assert whole(segments_of(line)).strip() == line.strip()


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert re.sub(r"\s", "", whole(segments_of(text))) == re.sub(r"\s", "", text)


_QUIET = st.lists(st.sampled_from(["ls", "rm", "-l", "x=1", "'a b'", '"c"', ";", "&&", "|", "\n", " ", "sh -c 'a; b'"]))


@given(_QUIET.map(" ".join))
def test_what_policy_reads_is_read_the_same_way_and_policy_is_never_the_freer_of_both(line: str) -> None:
    def commands(segments: tuple[Segment, ...]) -> int:
        return sum(commands(one.inner) if one.inner else bool(one.text.strip()) for one in segments)

    def all_unknown(segments: tuple[Segment, ...]) -> list[str]:
        return [why for one in segments for why in (*one.unknown, *all_unknown(one.inner))]

    read = simple_commands(("sh", "-c", line))
    segments = segments_of(line)
    if read is not None:
        # That an argument is called like a shell is a hint to a person, and tells nothing about a plain program.
        assert set(all_unknown(segments)) <= {"a shell is named among its arguments"}
        assert commands(segments) == len(read)


_NAMES = st.integers(1, 9).map(lambda number: f" c{number} ")
_SHELL_PIECES = _PIECES.filter(lambda piece: piece not in ("a", "b"))


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_no_command_that_a_real_shell_runs_is_hidden_in_another(shell: str, tmp_path: Path) -> None:
    """The shell itself says, by not finding them, which commands it would have run."""
    program = shutil.which(shell)
    assert program is not None

    @settings(max_examples=250, deadline=None)
    @given(st.lists(st.one_of(_NAMES, _SHELL_PIECES), min_size=2, max_size=16).map("".join))
    def check(line: str) -> None:
        ended = subprocess.run(
            [program, "-c", line],
            cwd=tmp_path,
            env={"PATH": "/nonexistent", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
        ran = re.findall(rb": (c[1-9]): (?:command )?not found", ended.stderr)
        for name in {name.decode() for name in ran}:
            # A name that stands nowhere was put together by the shell: then something has to say so.
            pieces = [one for one in segments_of(line) if name in one.text] or segments_of(line)
            starts = re.compile(rf"\s*(?:\\\n|\s|\d*[<>]+&?\s*\S+)*{name}")
            assert any(one.unknown or starts.match(one.text) for one in pieces), (line, name)

    check()
