"""How resources differ from what was applied, attribute by attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.web.api.schemas.drift import DriftJson
from reconciler.web.views.changes import SHOWN, Change
from reconciler.web.views.diffs import compared
from reconciler.web.views.tones import Tone

_TONES = {"missing": Tone.BAD, "replaced": Tone.BAD}
_SIGNS = {"missing": "-", "added": "+", "replaced": "±"}


@dataclass(frozen=True, slots=True)
class DriftView:
    """The first resources that differ, and how many more there are."""

    changes: tuple[Change, ...]
    more: int


def drift_view(found: Sequence[DriftJson]) -> DriftView:
    """Return the differences; a line with `-` is as it was applied, one with `+` as it is."""
    return DriftView(tuple(map(_change, found[:SHOWN])), max(0, len(found) - SHOWN))


def _change(found: DriftJson) -> Change:
    was = {attribute.name: attribute.was for attribute in found.attributes}
    now = {attribute.name: attribute.is_ for attribute in found.attributes}
    diff = compared(was, now)
    return Change(
        verb=found.difference,
        sign=_SIGNS.get(found.difference, "~"),
        tone=_TONES.get(found.difference, Tone.WAITING),
        address=found.address or "Something that the tool does not name",
        type=found.type or "",
        note="",
        lines=diff.lines,
        left_out=diff.left_out,
    )
