"""How resources differ from what was applied, attribute by attribute."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.web.api.schemas.drift import DriftJson
from reconciler.web.views.changes import Change, DiffLine, compared
from reconciler.web.views.tones import Tone

_TONES = {"missing": Tone.BAD, "replaced": Tone.BAD}
_SIGNS = {"missing": "-", "added": "+", "replaced": "±"}


def drift_lines(found: Iterable[DriftJson]) -> tuple[Change, ...]:
    """Return the differences; a line with `-` is as it was applied, one with `+` as it is."""
    return tuple(map(_change, found))


def _change(found: DriftJson) -> Change:
    was = {attribute.name: attribute.was for attribute in found.attributes}
    now = {attribute.name: attribute.is_ for attribute in found.attributes}
    return Change(
        action=found.difference,
        verb=found.difference,
        sign=_SIGNS.get(found.difference, "~"),
        tone=_TONES.get(found.difference, Tone.WAITING),
        address=found.address or "Something that the tool does not name",
        type=found.type or "",
        note="",
        lines=tuple[DiffLine, ...](compared(was, now)),
    )
