"""A held change with its diff in lines."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.web.api.schemas.admission import HeldDiffJson
from reconciler.web.views.diffs import DiffLine
from reconciler.web.views.standing import sentence
from spaces.diagnostics import printable

_MOST = 400


@dataclass(frozen=True, slots=True)
class HeldView:
    """A held change. `advice` says what would let it come into force; `approvable`: an approval can."""

    held: HeldDiffJson
    why: str
    advice: str
    approvable: bool
    lines: tuple[DiffLine, ...]
    left_out: int


def held_view(held: HeldDiffJson) -> HeldView:
    """Return a held change as it is shown."""
    rows = (held.diff or "").splitlines()
    lines = [_line(row) for row in rows if not row.startswith(("--- ", "+++ "))]
    if held.missing is not None:
        advice = f"Somebody with {held.missing.action} in {held.missing.space} can approve it."
    elif held.because == "waits":
        advice = "It comes into force with the other held change that it waits for."
    else:
        advice = "No approval mends that: its author has to change it."
    return HeldView(
        held, sentence(held.message), advice, held.missing is not None, tuple(lines[:_MOST]), max(0, len(lines) - _MOST)
    )


def _line(row: str) -> DiffLine:
    text = printable(row[1:]) if row else ""
    match row[:1]:
        case "+" | "-" as sign:
            return DiffLine(sign, text)
        case "@":
            return DiffLine("@", printable(row))
        case _:
            return DiffLine(" ", text)
