"""Takes what a tool marks as sensitive out of values that will be stored and shown.

Marks are shaped like the value: true hides everything below, an object or a list looks further in. Where nothing is
marked, which is nearly everywhere, nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from reconciler.masking.masker import Masker

MASK = "(sensitive)"
"""Stands where the tool marks a value as sensitive."""
UNKNOWN = "(known after apply)"
"""Stands where a plan cannot know the value yet."""
UNSEEN = "(not shown)"
"""Stands where nobody could say beforehand whether a structure would hold something sensitive."""

_SHORTEST = 4  # a shorter one would hide half of all values that are equal by chance
_SHORTEST_INSIDE = 8  # and so for what is looked for inside of others


class Secrets:
    """Marked strings, to be found where nobody marked them: tools copy a sensitive input into other attributes."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._whole = frozenset(values)
        self.any = bool(self._whole)
        """Whether there is anything to hide."""
        self._masker = Masker(value for value in self._whole if len(value.strip()) >= _SHORTEST_INSIDE)

    def hide(self, text: str) -> str:
        """Return MASK for a string that is a secret; in one that holds a secret, in whatever form, that is replaced."""
        return MASK if text in self._whole else self._masker.text(text)


_NONE = Secrets()


def veiled(value: Any, marks: Any, secrets: Secrets = _NONE) -> Any:
    """Return the value with everything marked replaced by MASK, and without `secrets`."""
    if marks is True or _are_shaped_otherwise(marks, value):
        return MASK
    if not marks and not secrets.any:
        return value
    match value:
        case dict():
            return {key: veiled(item, _below(marks, key), secrets) for key, item in value.items()}
        case list():
            return [veiled(item, _below(marks, index), secrets) for index, item in enumerate(value)]
        case _:
            return secrets.hide(value) if isinstance(value, str) else value


def _are_shaped_otherwise(marks: Any, value: Any) -> bool:
    """Whether marks have another shape than their value, so that nobody knows what in it is meant."""
    if not marks or isinstance(value, dict):
        return False
    return isinstance(marks, dict) or (isinstance(marks, list) and not isinstance(value, list))


def with_unknown(value: Any, unknown: Any) -> Any:
    """Put UNKNOWN into the places of a planned value that the tool leaves out because it cannot know them."""
    if unknown is True:
        return UNKNOWN
    if not unknown:
        return value
    if isinstance(unknown, dict) and isinstance(value, dict | None):
        known = value or {}
        keys = [*known, *(key for key in unknown if key not in known)]
        merged = {key: with_unknown(known.get(key), unknown.get(key)) for key in keys if key in known or unknown[key]}
        return merged if merged or value is not None else None
    if isinstance(unknown, list) and isinstance(value, list):
        return [with_unknown(item, _below(unknown, index)) for index, item in enumerate(value)]
    return value


def without_unseen(value: Any, unknown: Any) -> Any:
    """Replace structures that were wholly unknown when the plan was made: their marks were unknown as well."""
    if unknown is True:
        structure = isinstance(value, dict) or (
            isinstance(value, list) and any(isinstance(item, dict | list) for item in value)
        )
        return UNSEEN if structure else value
    if not unknown:
        return value
    match value:
        case dict():
            return {key: without_unseen(item, _below(unknown, key)) for key, item in value.items()}
        case list():
            return [without_unseen(item, _below(unknown, index)) for index, item in enumerate(value)]
        case _:
            return value


def secrets_in(value: Any, marks: Any) -> Iterator[str]:
    """Yield the marked strings that are long enough to be looked for elsewhere."""
    if not marks:
        return
    match value:
        case str():
            if marks is True and len(value) >= _SHORTEST:
                yield value
        case dict():
            for key, item in value.items():
                yield from secrets_in(item, True if marks is True else _below(marks, key))
        case list():
            for index, item in enumerate(value):
                yield from secrets_in(item, True if marks is True else _below(marks, index))


def _below(marks: Any, key: str | int) -> Any:
    match marks, key:
        case dict(), str():
            return marks.get(key)
        case list(), int():
            return marks[key] if key < len(marks) else None
        case _:
            return None
