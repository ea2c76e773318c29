"""Commands that are meant to come: whoever tries one is told so, and no list of commands names it."""

from __future__ import annotations

from collections.abc import Sequence

_LATER = frozenset(
    {
        ("backup",),
        ("drift",),
        ("resources",),
        ("restore",),
        ("stack", "destroy"),
        ("stack", "unlock"),
        ("task",),
        ("worker",),
    }
)


def not_yet(words: Sequence[str]) -> str | None:
    """Say that this version does not have the command that these words begin with; None: nothing is known of it."""
    for known in (tuple(words[:1]), tuple(words[:2])):
        if known in _LATER:
            return f"this version does not support station {' '.join(known)} yet"
    return None
