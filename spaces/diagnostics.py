"""Diagnostics are values: what is wrong, where, by which rule, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict


class Severity(StrEnum):
    """How bad: an error keeps its document out of force, a warning only tells."""

    ERROR = "error"
    WARNING = "warning"


class DiagnosticJson(TypedDict):
    """The shape that `validate`, `diff` and the API print."""

    severity: str
    code: str
    summary: str
    hint: str | None
    file: str | None
    line: int | None
    column: int | None


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file of the repository; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `code` is a stable kebab-case word for the rule; `position` is None where no file is to blame."""

    severity: Severity
    code: str
    summary: str
    hint: str | None = None
    position: Position | None = None

    def __post_init__(self) -> None:
        """Escape what would steer a terminal: keys and values of anybody's documents are among the words."""
        object.__setattr__(self, "summary", _printable(self.summary))
        object.__setattr__(self, "hint", self.hint and _printable(self.hint))

    @property
    def sort_key(self) -> tuple[str, int, int, str]:
        """Order by file, then line, then column."""
        at = self.position
        return (at.file, at.line, at.column, self.code) if at else ("", 0, 0, self.code)

    def to_json(self) -> DiagnosticJson:
        """Give the printed shape."""
        at = self.position
        return {
            "severity": self.severity.value,
            "code": self.code,
            "summary": self.summary,
            "hint": self.hint,
            "file": at.file if at else None,
            "line": at.line if at else None,
            "column": at.column if at else None,
        }

    def __str__(self) -> str:
        """One line, as compilers write it: file:line:column: severity: summary (hint) [code]."""
        where = (
            f"{_printable(self.position.file)}:{self.position.line}:{self.position.column}: " if self.position else ""
        )
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.severity.value}: {self.summary}{hint} [{self.code}]"


def error(code: str, summary: str, position: Position | None = None, hint: str | None = None) -> Diagnostic:
    """Shorthand for a diagnostic that keeps its document out of force."""
    return Diagnostic(Severity.ERROR, code, summary, hint, position)


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
