"""Diagnostics as values: the problem, its position, the code of its rule, and a hint for mending it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict


class Severity(StrEnum):
    """An error keeps its document out of force; a warning is only shown."""

    ERROR = "error"
    WARNING = "warning"


class DiagnosticJson(TypedDict):
    """The JSON shape that `validate`, `diff` and the API print."""

    severity: str
    code: str
    summary: str
    hint: str | None
    file: str | None
    line: int | None
    column: int | None


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in a file of the repository. Line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `code` is a stable kebab-case word for the rule; `position` is None if no file is to blame."""

    severity: Severity
    code: str
    summary: str
    hint: str | None = None
    position: Position | None = None

    def __post_init__(self) -> None:
        """Escape control characters: the text contains keys and values of documents, which could steer a terminal."""
        object.__setattr__(self, "summary", printable(self.summary))
        object.__setattr__(self, "hint", self.hint and printable(self.hint))

    def to_json(self) -> DiagnosticJson:
        """Return the JSON shape."""
        position = self.position
        return {
            "severity": self.severity.value,
            "code": self.code,
            "summary": self.summary,
            "hint": self.hint,
            "file": printable(position.file) if position else None,
            "line": position.line if position else None,
            "column": position.column if position else None,
        }

    def __str__(self) -> str:
        """Return one line in a compiler's style: file:line:column: severity: summary (hint) [code]."""
        where = (
            f"{printable(self.position.file)}:{self.position.line}:{self.position.column}: " if self.position else ""
        )
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.severity.value}: {self.summary}{hint} [{self.code}]"


def error(code: str, summary: str, position: Position | None = None, hint: str | None = None) -> Diagnostic:
    """Return a diagnostic that keeps its document out of force."""
    return Diagnostic(Severity.ERROR, code, summary, hint, position)


def in_order(told: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return diagnostics by file, line and column, each once."""
    return tuple(sorted({*told}, key=lambda each: (each.position or Position("", 0, 0), each.code, each.summary)))


def printable(text: str) -> str:
    """Return a text with escapes for what cannot be printed, such as what is not UTF-8 in the name of a file."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
