"""The parameters of pages: what a form leaves empty is not asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

from reconciler.web.api.auth import Caller, Right
from reconciler.web.api.errors import invalid
from reconciler.web.ports import Ports

_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Poll:
    """What a page asks for that refreshes itself: `part` is the part, `seen` the mark of what it shows now."""

    part: str = ""
    seen: str = ""

    def knows(self, now: str) -> bool:
        """Whether the page shows already what this is the mark of."""
        return bool(self.part) and self.seen == now


def _poll(part: Annotated[str, Query(max_length=10)] = "", seen: Annotated[str, Query(max_length=32)] = "") -> Poll:
    return Poll(part, seen)


PollIn = Annotated[Poll, Depends(_poll)]
TextIn = Annotated[str, Query(max_length=400)]
CursorIn = Annotated[str, Query(max_length=600)]


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a list somebody looks at: a space with or without those below it, and a page of it."""

    space: str
    subtree: bool
    cursor: str

    @property
    def filters(self) -> dict[str, Any]:
        """What stays the same from page to page."""
        return {"space": self.space, "subtree": self.subtree}

    def asked(self, limit: int) -> dict[str, Any]:
        """Return the part as the functions of the API take it, in pages of so many."""
        return {
            "space": self.space or None,
            "subtree": self.subtree,
            "limit": limit,
            "cursor": self.cursor or None,
        }


def _part(space: TextIn = "", subtree: bool = False, cursor: CursorIn = "") -> Part:  # noqa: FBT001, FBT002
    return Part(space, subtree, cursor)


PartIn = Annotated[Part, Depends(_part)]


def choice(kind: type[_Choice], field: str, text: str) -> _Choice | None:
    """Return one of several values by its text, None for an empty text; raise 422 for any other."""
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        raise invalid(field, f"{text[:80]!r} is none of {', '.join(kind)}") from None


def labels(text: str) -> list[str] | None:
    """Return labels that are written in one line, separated by spaces or commas."""
    return text.replace(",", " ").split() or None


def space_names(ports: Ports, caller: Caller) -> list[str]:
    """Return the spaces that somebody sees."""
    visible = caller.spaces(Right.SPACE_READ)
    return sorted(space for space in ports.tree().spaces() if visible is None or space in visible)
