"""A line of a tool's output with its colours, and without anything else that a terminal would obey."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, NamedTuple

_SEQUENCE = re.compile(
    r"\x1b\[(?P<codes>[0-9;:]*)m"  # colours
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences
    r"|\x1b[\]PX^_][^\n]*?(?:\x1b\\|\x07|$|(?=\n))"  # titles, links and the like, with their content
    r"|\x1b.?"
)
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that show nothing, or turn the direction of what follows."""


class _Style(NamedTuple):
    colour: str = ""
    bold: bool = False
    dim: bool = False

    @property
    def names(self) -> str:
        """The classes for it, separated by spaces."""
        return " ".join(name for name, on in ((self.colour, self.colour), ("bold", self.bold), ("dim", self.dim)) if on)


_SETS: dict[int, dict[str, Any]] = {
    0: {"colour": "", "bold": False, "dim": False},
    1: {"bold": True},
    2: {"dim": True},
    22: {"bold": False, "dim": False},
    39: {"colour": ""},
    **{30 + at: {"colour": f"ansi-{name}"} for at, name in enumerate(_COLOURS)},
    **{90 + at: {"colour": f"ansi-{name}"} for at, name in enumerate(_COLOURS)},
}
"""What each number of a colour sequence changes."""


class StyledText(NamedTuple):
    """A piece of text in one style. `style` are names of classes, separated by spaces."""

    text: str
    style: str = ""


def spans(line: str) -> list[StyledText]:
    """Return a line in pieces. Every line begins in the plain style, whatever the one before left behind."""
    # What a carriage return overwrote is not shown.
    line = line.rstrip("\r").rpartition("\r")[2]
    found: list[StyledText] = []
    style, at = _Style(), 0
    for match in _SEQUENCE.finditer(line):
        found.append(StyledText(_visible(line[at : match.start()]), style.names))
        at = match.end()
        if match["codes"] is not None:
            style = _after(match["codes"], style)
    found.append(StyledText(_visible(line[at:]), style.names))
    return [span for span in found if span.text]


def without_controls(text: str) -> str:
    """Return lines without colours and other sequences, to search in."""
    return _SEQUENCE.sub("", text) if "\x1b" in text else text


def _after(codes: str, style: _Style) -> _Style:
    numbers = iter([int(code) if code and len(code) <= 3 else 0 for code in re.split("[;:]", codes)])
    for number in numbers:
        if number in {38, 48}:
            # A colour from a larger palette: left out, with the numbers that belong to it.
            for _ in range({5: 1, 2: 3}.get(next(numbers, 0), 0)):
                next(numbers, None)
        elif number in _SETS:
            style = style._replace(**_SETS[number])
    return style


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char == "\t" or unicodedata.category(char) not in _HIDDEN else "\N{REPLACEMENT CHARACTER}"
        for char in text
        if char not in "\r\x07"
    )
