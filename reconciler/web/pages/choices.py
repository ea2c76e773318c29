"""The parameters of pages: what a form leaves empty is not asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query
from pydantic import TypeAdapter, ValidationError

from reconciler.web.api.auth import Caller, Right
from reconciler.web.api.errors import invalid
from reconciler.web.api.paging import Part
from reconciler.web.api.schemas.shapes import Moment, Shape
from reconciler.web.ports import Ports

_Choice = TypeVar("_Choice", bound=StrEnum)
_Shape = TypeVar("_Shape", bound=Shape)


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
TimeIn = Annotated[str, Query(max_length=40)]
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
CursorIn = Annotated[str, Query(max_length=600)]


@dataclass(frozen=True, slots=True)
class ListPart:
    """Which part of a list somebody looks at: a space with or without those below it, and a page of it."""

    space: str
    subtree: bool
    cursor: str

    @property
    def filters(self) -> dict[str, Any]:
        """What stays the same from page to page."""
        return {"space": self.space, "subtree": self.subtree}

    def asked(self, limit: int) -> Part:
        """Return the part as the functions of the API take it, in pages of so many."""
        return Part(self.space or None, self.subtree, limit, self.cursor or None)


def _part(space: TextIn = "", subtree: bool = False, cursor: CursorIn = "") -> ListPart:  # noqa: FBT001, FBT002
    return ListPart(space, subtree, cursor)


PartIn = Annotated[ListPart, Depends(_part)]


def shaped(kind: type[_Shape], **fields: Any) -> _Shape:
    """Return what the fields of a form say, in a shape of the API; raise 422 for the first that does not fit."""
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        # What the shape's own checks say comes as `Value error, …`.
        said = first["msg"].removeprefix("Value error, ")
        raise invalid(str(first["loc"][-1]) if first["loc"] else "form", said[:1].lower() + said[1:]) from None


def choice(kind: type[_Choice], field: str, text: str) -> _Choice | None:
    """Return one of several values by its text, None for an empty text; raise 422 for any other."""
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        raise invalid(field, f"{text[:80]!r} is none of {', '.join(kind)}") from None


def moment(field: str, text: str) -> datetime | None:
    """Return the time that a field of a form says, which has no zone of its own: it is UTC. None for an empty one."""
    if not text:
        return None
    for written in (text, f"{text}Z"):
        try:
            return _MOMENT.validate_python(written)
        except ValidationError:
            continue
    raise invalid(field, "this is no time; write it as 2030-12-31T18:00")


def labels(text: str) -> list[str] | None:
    """Return labels that are written in one line, separated by spaces or commas."""
    return text.replace(",", " ").split() or None


def space_names(ports: Ports, caller: Caller) -> list[str]:
    """Return the spaces that somebody sees."""
    visible = caller.spaces(Right.SPACE_READ)
    return sorted(space for space in ports.tree().spaces() if visible is None or space in visible)
