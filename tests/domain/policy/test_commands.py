"""What commands a script stands for: told only where no shell would make something else of it."""

import pytest

from cowork.domain.policy_command import RUNNERS, SHELLS, CommandSet, simple_commands

Commands = tuple[tuple[str, ...], ...]


@pytest.mark.parametrize(
    "argv", [("ls",), ("git", "log", "--format=%h"), ("/bin/rm", "-rf", "a b"), ("x", "$HOME", ">")]
)
def test_an_argument_vector_is_its_own_simple_command(argv: tuple[str, ...]) -> None:
    assert simple_commands(argv) == (argv,)


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("ls", (("ls",),)),
        ("  git   status\t-s ", (("git", "status", "-s"),)),
        ("git status && ls -l", (("git", "status"), ("ls", "-l"))),
        ("a || b", (("a",), ("b",))),
        ("a;b", (("a",), ("b",))),
        ("a;", (("a",),)),
        ("a | b | c", (("a",), ("b",), ("c",))),
        ("a|b", (("a",), ("b",))),
        ("a&&b", (("a",), ("b",))),
        ("a\nb", (("a",), ("b",))),
        ("\na\n\nb\n", (("a",), ("b",))),
        ("a;\nb", (("a",), ("b",))),
        ("a &&\nb", (("a",), ("b",))),
        ("echo 'a b' \"c d\"", (("echo", "a b", "c d"),)),
        ("echo a'b'\"c\"d", (("echo", "abcd"),)),
        ("echo ''", (("echo", ""),)),
        ("echo 'a;b && c'", (("echo", "a;b && c"),)),
        ("echo 'say \"x\"'", (("echo", 'say "x"'),)),
        ('echo "it\'s"', (("echo", "it's"),)),
        ("'rm' -rf x", (("rm", "-rf", "x"),)),
        ("r'm' x", (("rm", "x"),)),
        ("sh -c 'rm x'", (("rm", "x"),)),
        ("cd a && sh -c 'ls; rm x'", (("cd", "a"), ("ls",), ("rm", "x"))),
        ("echo a=b", (("echo", "a=b"),)),
    ],
)
def test_a_plain_line_of_a_shell_is_the_simple_commands_in_it(line: str, commands: Commands) -> None:
    for shell in ("sh", "bash", "/bin/sh", "/usr/local/bin/zsh"):
        assert simple_commands((shell, "-c", line)) == commands


@pytest.mark.parametrize(
    "line",
    [
        *("", "   ", "\n", ";", "a ;; b", "; a", "&& a", "a && ; b", "| a", "a | | b"),
        *("a > f", "a >> f", "a < f", "a 2>&1", "a &> f", "cat <<E", "a <(b)"),
        *("a &", "a & b", "a |& b", "a ;& b", "a && b &"),
        *("echo $HOME", "echo ${x}", "echo $(rm x)", "echo `rm x`", 'echo "$(rm x)"', "a $'\\n'"),
        *("ls *", "ls ?", "ls [ab]", "echo {a,b}", "ls ~", "a \\b", "a # b", "! a", "(a)", "{ a; }", "a () { b; }"),
        *("X=1 a", "PATH=/tmp rm x", "X=1", "if a; then b; fi", "while a; do b; done", "for x in a; do b; done"),
        *("case a in b) c;; esac", "function f", "select x", "until a", "a; do b"),
        *("echo 'a", 'echo "a', "a 'b\" c", "a 'b", "\u00e4", "a\x00b", "a\rb"),
        *("sudo rm x", "env rm x", "time rm", "xargs rm", "find . -delete", "eval a", ". a", "exec a", "a && sudo b"),
        *("sh a.sh", "sh -c", "sh -ec 'a'", "bash", "sh -c 'a > f'", "busybox rm x", "sh -c 'sh -c \"a &\"'"),
    ],
)
def test_a_line_that_a_shell_would_make_something_else_of_is_unknown(line: str) -> None:
    assert simple_commands(("sh", "-c", line)) is None


@pytest.mark.parametrize(
    "argv",
    [
        *((), ("",), ("", "a"), ("sh",), ("sh", "a.sh"), ("sh", "-c"), ("sh", "-c", "a", "b"), ("sh", "-lc", "a")),
        *(("bash", "--norc", "-c", "a"), ("/bin/dash", "x"), ("busybox", "rm")),
    ],
)
def test_a_shell_that_is_called_otherwise_is_unknown(argv: tuple[str, ...]) -> None:
    assert simple_commands(argv) is None


@pytest.mark.parametrize("program", sorted(RUNNERS))
def test_a_program_that_runs_another_is_unknown(program: str) -> None:
    assert simple_commands((program, "ls")) is None
    assert simple_commands((f"/usr/bin/{program}", "ls")) is None


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_every_shell_is_read_alike(shell: str) -> None:
    assert simple_commands((shell, "-c", "a; b")) == (("a",), ("b",))


def test_patterns_of_one_program_are_told_apart() -> None:
    patterns = CommandSet(
        [
            (("git",), 1),
            (("git", ("status", "log")), 2),
            ((("/usr/bin/git", "git"), "log"), 4),
            (("/usr/bin/git", "log"), 8),
            (("rm",), 16),
        ]
    )
    assert patterns.hits(("git", "log")) == (0b00111, 0b01000)
    assert patterns.hits(("/usr/bin/git", "log")) == (0b01100, 0b00011)
    assert patterns.hits(("/opt/git",)) == (0, 0b00001)
    assert patterns.hits(("ls",)) == (0, 0)
