"""Commands as policy compares them: by their first tokens, one simple command at a time."""

from collections.abc import Iterable
from typing import Final

from .policy_document import CommandPattern


class CommandSet:
    """Token patterns with a bit mask each; `hits` returns those that a command begins with, and those it may.

    A command whose program has another path but the same name (`/bin/rm` for `rm`) may be the same program or another.
    """

    def __init__(self, patterns: Iterable[tuple[CommandPattern, int]]) -> None:
        self._by_name: dict[str, list[tuple[frozenset[str], tuple[frozenset[str], ...], int]]] = {}
        for pattern, mask in patterns:
            first, *rest = (frozenset((token,) if isinstance(token, str) else token) for token in pattern)
            for name in {_name(program) for program in first}:
                programs = frozenset(program for program in first if _name(program) == name)
                self._by_name.setdefault(name, []).append((programs, tuple(rest), mask))

    def hits(self, command: tuple[str, ...]) -> tuple[int, int]:
        """Return the union of the masks of the patterns that the command begins with, and of those that it may."""
        certain = perhaps = 0
        program, arguments = command[0], command[1:]
        for programs, rest, mask in self._by_name.get(_name(program), ()):
            if len(arguments) < len(rest) or any(a not in tokens for a, tokens in zip(arguments, rest, strict=False)):
                continue
            if program in programs:
                certain |= mask
            else:
                perhaps |= mask
        return certain, perhaps


def _name(program: str) -> str:
    return program[program.rfind("/") + 1 :]


SHELLS: Final = frozenset(("sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "busybox"))
RUNNERS: Final = frozenset(
    (
        "env",
        "sudo",
        "doas",
        "su",
        "nohup",
        "nice",
        "ionice",
        "setsid",
        "stdbuf",
        "time",
        "timeout",
        "xargs",
        "find",
        "watch",
        "parallel",
        "exec",
        "eval",
        "command",
        "builtin",
        "source",
        ".",
        "chroot",
        "unshare",
        "nsenter",
        "flock",
        "script",
        "strace",
        "ssh",
        "alias",
        "unalias",
        "trap",
        "export",
        "readonly",
        "declare",
        "typeset",
        "local",
        "set",
        "unset",
        "hash",
        "enable",
        "bind",
        "compgen",
        "complete",
        "coproc",
        "fc",
        "mapfile",
        "readarray",
    )
)
"""Programs that run another one, which their arguments name: what such a command does is not said by its first word.

And the shell's own words after which the first word of another command need not mean what it says.
"""
_SEPARATORS: Final = frozenset(("&&", "||", ";", "|", "\n"))
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,=+@%^ \t\n&|;'\"")


def simple_commands(argv: tuple[str, ...]) -> tuple[tuple[str, ...], ...] | None:
    """Return the simple commands that an argument vector stands for, None where that can't be told for certain.

    `sh -c LINE` is read where the line is plain words, quoted or not, between `&&`, `||`, `;` and `|`: anything that
    a shell would expand or redirect makes the whole script unknown.
    """
    if not argv or not argv[0]:
        return None
    name = _name(argv[0])
    if name in SHELLS:
        return _script(argv[2]) if len(argv) == 3 and argv[1] == "-c" else None
    return None if name in RUNNERS else (argv,)


def _script(line: str) -> tuple[tuple[str, ...], ...] | None:
    if not _PLAIN.issuperset(line):
        return None
    commands: list[tuple[str, ...]] = []
    words: list[str] = []
    for token in _tokens(line) or (None,):
        if token is None:
            return None
        kind, text = token
        if kind == "word":
            words.append(text)
        elif words:
            commands.append(tuple(words))
            words = []
        elif text != "\n":
            return None
    if words:
        commands.append(tuple(words))
    if not commands or any(_is_assignment(command[0]) for command in commands):
        return None
    inner = [simple_commands(command) for command in commands]
    return tuple(simple for found in inner for simple in found or ()) if all(inner) else None


def _is_assignment(word: str) -> bool:
    return "=" in word or word in _KEYWORDS


_KEYWORDS: Final = frozenset(
    ("if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "function", "select")
)


def _tokens(line: str) -> list[tuple[str, str]] | None:
    """Return the words and separators of a line of plain characters, None for an open quote or another operator."""
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(line):
        if line[at] in " \t":
            at += 1
        elif line[at : at + 2] in _SEPARATORS or (line[at] in "|;\n" and line[at : at + 2] not in ("|&", ";;", ";&")):
            text = line[at : at + 2] if line[at : at + 2] in _SEPARATORS else line[at]
            tokens.append(("separator", text))
            at += len(text)
        elif line[at] in "&|;":
            return None
        else:
            word, at = _word(line, at)
            if word is None:
                return None
            tokens.append(("word", word))
    return tokens


def _word(line: str, at: int) -> tuple[str | None, int]:
    parts: list[str] = []
    while at < len(line) and line[at] not in " \t\n&|;":
        if line[at] in "'\"":
            end = line.find(line[at], at + 1)
            if end < 0:
                return None, at
            parts.append(line[at + 1 : end])
            at = end + 1
        else:
            parts.append(line[at])
            at += 1
    return "".join(parts), at
