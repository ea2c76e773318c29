"""Finds blocks and their plain string attributes in HCL, without understanding expressions.

A full parse takes ten milliseconds a kilobyte and over a second for the first file; this reads what a reference
needs in a hundredth of that, and reads on where a file is broken: the tool itself explains broken code best.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

Header = tuple[str, ...]
"""A block's type and labels: `("module", "vpc")`."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block begins; `path` holds its header and those of the blocks around it, outermost first."""

    path: tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """An attribute that is one plain string; `path` is that of the block around it.

    The string stands from the character `at` to before `end`, its quotes included.
    """

    path: tuple[Header, ...]
    name: str
    value: str
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Expression:
    """An attribute that is anything else than one plain string; `word` is what its value begins with, at `at`."""

    path: tuple[Header, ...]
    name: str
    word: str
    at: int = field(default=0, compare=False)


Found = Block | Text | Expression

_CODE = re.compile(
    r"""(?P<comment>\#[^\n]*|//[^\n]*|/\*.*?(?:\*/|\Z))
      | <<-?(?P<heredoc>[^\W\d][\w-]*)[ \t]*\r?\n
      | (?P<quote>")
      | (?P<open>[{\[(])
      | (?P<close>[}\])])
      | (?P<word>[^\W\d][\w-]*)
      | (?P<equals>=(?![=>]))
      | (?P<line>\n)
      | (?P<other>[^\s])""",
    re.VERBOSE | re.DOTALL,
)
_IN_STRING = re.compile(r'\\.|\$\$\{|%%\{|(?P<template>[$%]\{)|(?P<quote>")', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([nrt\"\\])|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|([$%])[$%]\{")
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}

_QUOTE, _TEMPLATE, _BRACKET = "quote", "template", "bracket"


def scan(text: str) -> Iterator[Found]:
    """Yield the blocks and the attributes directly in blocks, in order."""
    return _Scanner(text).run()


@dataclass(slots=True)
class _Scanner:
    text: str
    position: int = 0
    # What is open around the position: a block's header, or one of _QUOTE, _TEMPLATE, _BRACKET.
    around: list[Header | str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)  # the beginning of a statement, up to `{` or `=`
    attribute: str | None = None  # the name before an `=` whose value begins here
    expression: bool = False

    def run(self) -> Iterator[Found]:
        while self.position < len(self.text):
            if self.around and self.around[-1] == _QUOTE:
                self._in_string()
            else:
                found = _CODE.search(self.text, self.position)
                if found is None:
                    return
                self.position = found.end()
                yield from self._code(found)

    def _code(self, found: re.Match[str]) -> Iterator[Found]:
        if self.attribute is not None and found.lastgroup not in {"comment", "quote", "line"}:
            yield Expression(self._path(), self.attribute, found.group(), found.start())
        match found.lastgroup:
            case "comment":
                pass
            case "heredoc":
                self.position = _after_heredoc(self.text, found.end(), found["heredoc"])
                self._line()  # the line break after the closing word was skipped
            case "quote":
                yield from self._string(found.end())
            case "open":
                yield from self._open(found.group())
            case "close":
                self._close()
            case "line":
                self._line()
            case kind:
                self._statement(kind, found.group())

    def _statement(self, kind: str | None, text: str) -> None:
        """Take one more part of a statement: a word, `=`, or anything else, which makes it no block's header."""
        self.attribute = None
        if not self._in_body() or self.expression:
            return
        if kind == "word":
            self.words.append(text)
            return
        self.expression = True
        if kind == "equals" and len(self.words) == 1:
            self.attribute = self.words[0]

    def _in_body(self) -> bool:
        return not self.around or isinstance(self.around[-1], tuple)

    def _line(self) -> None:
        if self._in_body():
            self.words.clear()
            self.attribute = None
            self.expression = False

    def _open(self, bracket: str) -> Iterator[Block]:
        if bracket == "{" and self._in_body() and not self.expression and self.words:
            self.around.append(tuple(self.words))
            self.words.clear()
            yield Block(self._path())
        else:
            self.around.append(_BRACKET)
        self.attribute = None

    def _close(self) -> None:
        self.attribute = None
        if not self.around:
            return
        closed = self.around.pop()
        if isinstance(closed, tuple):
            self.words.clear()
            self.expression = False

    def _string(self, start: int) -> Iterator[Found]:
        end = self._plain_end(start)
        if end is None:
            if self.attribute is not None:
                yield Expression(self._path(), self.attribute, '"', start - 1)
            self.around.append(_QUOTE)
            self.attribute = None
            self.position = start
            return
        self.position = end
        value = _unescaped(self.text[start : end - 1])
        if self.attribute is not None:
            if self._ends_statement(end):
                yield Text(self._path(), self.attribute, value, start - 1, end)
            else:
                yield Expression(self._path(), self.attribute, '"', start - 1)
            self.attribute = None
        elif self._in_body() and not self.expression:
            self.words.append(value)

    def _plain_end(self, start: int) -> int | None:
        """Return the place after the closing quote of a string without templates; None if it has any, or no end."""
        position = start
        while found := _IN_STRING.search(self.text, position):
            if found["template"]:
                return None
            position = found.end()
            if found["quote"]:
                return position
        return None

    def _ends_statement(self, position: int) -> bool:
        rest = _CODE.search(self.text, position)
        return rest is None or rest.lastgroup in {"line", "close", "comment"}

    def _in_string(self) -> None:
        found = _IN_STRING.search(self.text, self.position)
        if found is None:
            self.position = len(self.text)
            return
        self.position = found.end()
        if found["quote"]:
            self.around.pop()
        elif found["template"]:
            self.around.append(_TEMPLATE)

    def _path(self) -> tuple[Header, ...]:
        return tuple(header for header in self.around if isinstance(header, tuple))


def _after_heredoc(text: str, start: int, word: str) -> int:
    closing = re.compile(rf"^[ \t]*{re.escape(word)}[ \t]*\r?$", re.MULTILINE).search(text, start)
    return len(text) if closing is None else closing.end()


def _unescaped(raw: str) -> str:
    if "\\" not in raw and "{" not in raw:
        return raw
    return _ESCAPE.sub(_replaced, raw)


def _replaced(found: re.Match[str]) -> str:
    plain, short, long, doubled = found.groups()
    if plain:
        return _PLAIN[plain]
    if doubled:
        return doubled + "{"
    code = int(short or long, 16)
    return chr(code) if code <= 0x10FFFF else found.group()
