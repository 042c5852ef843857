"""A shell line taken apart for a person: one simple command after the other, and what of each nobody can foretell.

This is for looking at, never for deciding: policy reads commands by itself and stricter (`domain/policy_command.py`).
Where shells differ or grammar gets deep, the rest of the line is one segment that says so: a boundary is never guessed.
"""

import re
from typing import Final

import msgspec

from ..domain.policy_command import RUNNERS, SHELLS
from .shell_quoting import closing_of, end_of_backquotes, end_of_double_quotes

READ_HERE: Final = frozenset(("sh", "bash", "dash", "ash", "ksh"))
"""The shells whose common grammar is read. Others have a grammar of their own."""

NESTED_MAX: Final = 4
"""How deep a line within a line (`sh -c "sh -c …"`) is taken apart."""

_INTERPRETERS: Final = re.compile(r"(?:python|pypy|perl|ruby|node|deno|bun|php|lua|g?awk|mawk|sed|tclsh|make)[\d.]*")
_OTHER_SHELLS: Final = frozenset(("csh", "tcsh", "pwsh", "nu", "elvish", "rbash", "mksh"))
_CHANGERS: Final = frozenset(("alias", "unalias", "set", "shopt", "enable", "hash", "trap", "export", "unset", "read"))
_PARTS: Final = frozenset(("if", "then", "else", "elif", "fi", "do", "done", "while", "until", "for", "{", "}", "!"))
_DEEP: Final = frozenset(("case", "esac", "select", "function", "coproc", "[["))
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PARAMETER: Final = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!_-]", re.ASCII)
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)\+?=", re.ASCII)
_REDIRECTION: Final = re.compile(r"<<<|<<-|<<|<&|<>|>>|>&|>\||<|>")
_ACTIVE: Final = re.compile(r"\\.|[$`]", re.DOTALL)
_OPERATOR: Final = re.compile(r"&&|\|\||\|&|&|\||;|\n")


class Segment(msgspec.Struct, frozen=True):
    """One simple command: the operator before it, its text as it stands in the line, and what can't be foretold of it.

    `inner` are the segments of a line that it hands to another shell.
    """

    operator: str
    text: str
    unknown: tuple[str, ...] = ()
    inner: tuple["Segment", ...] = ()


def segments_of(line: str, depth: int = 0) -> tuple[Segment, ...]:
    """Return the line's simple commands in order; together their texts and operators are the whole line."""
    return _Reader(line, depth).read()


def unknown_of(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return what can't be foretold of a command that no shell reads: its program runs another, or a text."""
    reader = _Reader("", NESTED_MAX)
    reader.note_command([(word, True) for word in argv])
    return reader.unknown


class _Unreadable(Exception):  # noqa: N818 - an answer, not an error
    """From here on nothing is certain; the message says why."""


class _Reader:
    """Reads a line once from left to right, one segment at a time."""

    def __init__(self, line: str, depth: int) -> None:
        self._line = line
        self._depth = depth
        self._at = 0
        self._found: list[Segment] = []
        self._begin("", 0)

    def _begin(self, operator: str, start: int) -> None:
        self._operator = operator
        self._start = start
        self._unknown: dict[str, None] = {}
        self._words: list[tuple[str, bool]] = []
        self._word: str | None = None
        self._is_plain = True
        self._redirects = False
        self._here_document = False

    @property
    def unknown(self) -> tuple[str, ...]:
        """What can't be foretold of the command at hand."""
        return tuple(self._unknown)

    def read(self) -> tuple[Segment, ...]:
        """Return the segments of the line."""
        try:
            while self._at < len(self._line):
                self._step()
            self._end_segment()
        except _Unreadable as why:
            text = self._line[self._start :]
            self._found.append(Segment(self._operator, text, (*self._unknown, f"from here on: {why}")))
        return tuple(self._found)

    def _step(self) -> None:
        line, at = self._line, self._at
        character = line[at]
        if character in " \t":
            self._end_word()
            self._at += 1
        elif operator := _OPERATOR.match(line, at):
            self._operate(operator[0])
        elif redirection := _REDIRECTION.match(line, at):
            self._redirect(redirection[0])
        elif character in "()":
            raise _Unreadable("commands in parentheses")
        elif character == "#" and self._word is None:
            self._comment()
        else:
            self._part_of_word(character)

    # Operators

    def _operate(self, operator: str) -> None:
        after = self._line[self._at + 1 : self._at + 2]
        if operator == ";" and after in (";", "&"):
            raise _Unreadable("`;;` belongs to a `case`")
        if operator == "&" and after == ">":
            raise _Unreadable("`&>` means one thing in bash and another in sh")
        if operator == "|&":
            raise _Unreadable("`|&` means one thing in bash and another in sh")
        here_document = self._here_document
        self._end_segment()
        self._at += len(operator)
        self._begin(operator, self._at)
        if here_document and operator == "\n":
            raise _Unreadable("the text of a here-document, and whatever follows it")
        # Until its line ends, the next commands stand before the text of the here-document.
        self._here_document = here_document

    def _redirect(self, operator: str) -> None:
        if self._word is not None and self._is_plain and self._word.isdecimal():
            # The number of a file descriptor is no word of the command.
            self._word = None
        self._end_word()
        if self._line[self._at + len(operator) : self._at + len(operator) + 1] == "(":
            raise _Unreadable(f"`{operator}(` runs other commands")
        if operator in ("<<", "<<-"):
            self._here_document = True
            self._unknown["a here-document is its input"] = None
        self._redirects = True
        self._at += len(operator)

    def _comment(self) -> None:
        end = self._line.find("\n", self._at)
        self._at = len(self._line) if end < 0 else end

    # Words

    def _part_of_word(self, character: str) -> None:
        match character:
            case "\\":
                self._escape()
            case "'":
                self._add(self._upto(self._line.find("'", self._at + 1))[1:-1])
            case '"':
                self._double_quotes()
            case "$":
                self._dollar(self._at)
                self._at = self._after_dollar(self._at)
                self._add("")
            case "`":
                self._note("a backquote is replaced by what another command prints")
                self._upto(end_of_backquotes(self._line, self._at + 1))
                self._add("")
            case _:
                self._plain(character)

    def _plain(self, character: str) -> None:
        if character in "*?[":
            self._note(f"`{character}` stands for names that are looked up")
        elif character == "~" and self._word is None:
            self._note("`~` stands for a folder that is looked up")
        elif character == "{" and not self._is_word_alone():
            self._note("braces stand for several words")
        self._add(character)
        self._at += 1

    def _is_word_alone(self) -> bool:
        after = self._line[self._at + 1 : self._at + 2]
        return self._word is None and (not after or after in " \t\n;")

    def _escape(self) -> None:
        escaped = self._line[self._at + 1 : self._at + 2]
        if not escaped:
            raise _Unreadable("a backslash at the end")
        if escaped != "\n":
            self._add(escaped)
        elif self._line[self._at - 1 : self._at] in tuple("$<>&|;{"):
            raise _Unreadable("a line that goes on in the middle of an operator")
        self._at += 2

    def _double_quotes(self) -> None:
        inner = self._upto(end_of_double_quotes(self._line, self._at + 1))[1:-1]
        at = 0
        while (found := _ACTIVE.search(inner, at)) is not None:
            if found[0] == "`":
                self._note("a backquote is replaced by what another command prints")
            elif found[0] == "$":
                self._dollar_in(inner, found.start())
            at = found.end()
        self._add(re.sub(r"\\([$`\"\\\n])", lambda escaped: escaped[1].strip("\n"), inner))

    def _upto(self, end: int) -> str:
        """Return the text up to and with a closing quote, and go on after it."""
        if end < 0:
            raise _Unreadable("a quote that is not closed")
        text = self._line[self._at : end + 1]
        self._at = end + 1
        return text

    def _dollar(self, at: int) -> None:
        if self._line[at + 1 : at + 2] == "'":
            raise _Unreadable("`$'` means one thing in bash and another in sh")
        self._dollar_in(self._line, at)

    def _dollar_in(self, text: str, at: int) -> None:
        after = text[at + 1 : at + 2]
        if after == "(":
            self._note("`$(` is replaced by what another command prints, or by a sum")
        elif after == "{":
            name = _NAME.match(text, at + 2)
            self._note(f"`${{{name[0] if name else ''}…}}` is put in by the shell")
        elif name := _PARAMETER.match(text, at + 1):
            self._note(f"`${name[0]}` is put in by the shell")

    def _after_dollar(self, at: int) -> int:
        """Return where the line goes on after an expansion."""
        after = self._line[at + 1 : at + 2]
        if after in ("(", "{") and after:
            end = closing_of(self._line, at + 1)
            if end < 0:
                raise _Unreadable("a substitution whose end can't be told")
            return end + 1
        name = _PARAMETER.match(self._line, at + 1)
        if name is None:
            self._add("$")
            return at + 1
        return name.end()

    def _add(self, text: str) -> None:
        self._word = (self._word or "") + text

    def _note(self, sentence: str) -> None:
        self._is_plain = False
        self._unknown[sentence] = None

    def _end_word(self) -> None:
        if self._word is None:
            return
        word, plain = self._word, self._is_plain
        self._word, self._is_plain = None, True
        if not self._redirects:
            self._words.append((word, plain))
        elif not plain:
            self._unknown["it is redirected to a name that is computed"] = None
        self._redirects = False

    # Segments

    def _end_segment(self) -> None:
        self._end_word()
        text = self._line[self._start : self._at]
        inner = self._command(self._words)
        is_first = not self._found and self._operator not in ("", "\n")
        if text.strip(" \t") or is_first or self._operator in ("&&", "||", "|"):
            self._found.append(Segment(self._operator, text, tuple(self._unknown), inner))
        elif self._found:
            # What ends a command, or an empty line, belongs to the command before it.
            last = self._found[-1]
            self._found[-1] = msgspec.structs.replace(last, text=f"{last.text}{self._operator}{text}")

    def _command(self, words: list[tuple[str, bool]]) -> tuple[Segment, ...]:
        """Note what the command's first words say about it; return the segments of a line for another shell."""
        words = words[:]
        while words and words[0][0] in _PARTS:
            self._unknown[f"`{words[0][0]}` is a part of a longer command"] = None
            words.pop(0)
        if words and words[0][0] in _DEEP:
            raise _Unreadable(f"`{words[0][0]}` and what belongs to it")
        while words and (assignment := _ASSIGNMENT.match(words[0][0])):
            self._unknown[f"it sets `{assignment[1]}`, which may change what runs"] = None
            words.pop(0)
        if not words:
            return ()
        if not words[0][1]:
            self._unknown["which program it is, is computed"] = None
            return ()
        return self.note_command(words)

    def note_command(self, words: list[tuple[str, bool]]) -> tuple[Segment, ...]:
        """Note what a program's name says about what its arguments do, each with whether it is written out."""
        program = words[0][0]
        name = program.rpartition("/")[2]
        for argument, _ in words[1:]:
            if argument.rpartition("/")[2] in SHELLS:
                self._unknown["a shell is named among its arguments"] = None
        if name in SHELLS or name in _OTHER_SHELLS:
            return self._shell(name, words[1:])
        if name in RUNNERS:
            self._unknown[f"`{name}` runs what its arguments say"] = None
        elif name in _CHANGERS:
            self._unknown[f"`{name}` changes what later commands mean"] = None
        elif _INTERPRETERS.fullmatch(name):
            self._unknown[f"`{name}` runs a program of its own"] = None
        return ()

    def _shell(self, name: str, arguments: list[tuple[str, bool]]) -> tuple[Segment, ...]:
        is_line = len(arguments) == 2 and arguments[0] == ("-c", True) and arguments[1][1]
        if is_line and name in READ_HERE and self._depth < NESTED_MAX:
            return segments_of(arguments[1][0], self._depth + 1)
        self._unknown[f"`{name}` reads another program"] = None
        return ()
