"""What is wrong with the configuration, as far as somebody is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.web.views.standing import sentence
from reconciler.web.views.tones import Tone

_MOST = 10


@dataclass(frozen=True, slots=True)
class ShownProblem:
    """One finding, with its place in a file if there is one."""

    tone: Tone
    word: str
    summary: str
    hint: str
    place: str


@dataclass(frozen=True, slots=True)
class Problems:
    """The first findings, errors before warnings, and how many more there are."""

    items: tuple[ShownProblem, ...]
    more: int


def problems(diagnostics: Sequence[Mapping[str, Any]]) -> Problems:
    """Return what to show of diagnostics (`Diagnostic.to_json`)."""
    ranked = sorted(diagnostics, key=lambda each: each["severity"] != "error")
    return Problems(tuple(map(_problem, ranked[:_MOST])), max(0, len(ranked) - _MOST))


def _problem(found: Mapping[str, Any]) -> ShownProblem:
    error = found["severity"] == "error"
    parts = (found.get("file"), found.get("line"), found.get("column"))
    place = ":".join(str(part) for part in parts if part is not None)
    hint = sentence(found.get("hint") or "")
    return ShownProblem(Tone.BAD if error else Tone.WAITING, found["severity"], sentence(found["summary"]), hint, place)
