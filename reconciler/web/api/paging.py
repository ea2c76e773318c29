"""Cursor pages. One item more than requested is read, to know whether there is a next page."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Query

from reconciler.web.api.auth import Caller, Right
from reconciler.web.api.errors import invalid, not_found
from reconciler.web.api.schemas.shapes import Page
from spaces.documents.tree import SpaceTree
from spaces.names import SpaceName, StackId

_Item = TypeVar("_Item")
_Json = TypeVar("_Json")

_RUN = re.compile(r"[0-9a-z]{26}")
_NO_CURSOR = "this is not the `next` of a page"

LimitIn = Annotated[int, Query(ge=1, le=1000, description="Maximum number of items.")]
CursorIn = Annotated[str | None, Query(max_length=600, description="`next` of the previous page.")]
SpaceIn = Annotated[str | None, Query(max_length=63, description="Only this space.")]
SubtreeIn = Annotated[bool, Query(description="With `space`: also all spaces below.")]


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a list is asked for: a space (None: all), with all below it or not, and a page of `limit` items."""

    space: str | None = None
    subtree: bool = False
    limit: int = 100
    cursor: str | None = None


async def _part(
    space: SpaceIn = None,
    subtree: SubtreeIn = False,  # noqa: FBT002
    limit: LimitIn = 100,
    cursor: CursorIn = None,
) -> Part:
    return Part(space, subtree, limit, cursor)


PartIn = Annotated[Part, Depends(_part)]


def page(
    items: Sequence[_Item], limit: int, key: Callable[[_Item], str], show: Callable[[_Item], _Json]
) -> Page[_Json]:
    """Return a page of up to `limit` of the items, which are up to `limit + 1`; `key` names an item in a cursor."""
    shown = items[:limit]
    return Page(items=[show(item) for item in shown], next=key(shown[-1]) if len(items) > limit else None)


def behind(items: Sequence[_Item], cursor: str | None, limit: int, key: Callable[[_Item], str]) -> list[_Item]:
    """Return the next `limit + 1` items after the cursor from a whole list that is sorted by `key`."""
    return [item for item in items if cursor is None or key(item) > cursor][: limit + 1]


def of_stacks(cursor: str | None) -> str | None:
    """Return the cursor of a list of stacks; raise 422 if it cannot be one."""
    if cursor is not None:
        try:
            StackId.parse(cursor)
        except ValueError:
            raise invalid("cursor", _NO_CURSOR) from None
    return cursor


def of_number(cursor: str | None) -> int | None:
    """Return the cursor of a list of things with numbers; raise 422 if it cannot be one."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise invalid("cursor", _NO_CURSOR)
    return int(cursor)


def of_runs(cursor: str | None) -> str | None:
    """Return the cursor of a list of runs; raise 422 if it cannot be one."""
    if cursor is not None and not _RUN.fullmatch(cursor):
        raise invalid("cursor", _NO_CURSOR)
    return cursor


def chosen_spaces(tree: SpaceTree, caller: Caller, right: Right, part: Part) -> list[SpaceName] | None:
    """Return the spaces that a listing covers, of those in which the caller has the right; None: all.

    Raise 404 for a space that the caller does not see.
    """
    narrowed = caller.narrow(right, named_spaces(tree, caller, part))
    return None if narrowed is None else sorted(narrowed)


def named_spaces(tree: SpaceTree, caller: Caller, part: Part) -> Collection[SpaceName] | None:
    """Return the spaces that a listing asks for; None: all. Raise 404 for a space that the caller does not see."""
    if part.space is None:
        return None
    name = SpaceName(part.space)
    if not tree.exists(name) or not caller.allows(Right.SPACE_READ, name):
        raise not_found(f"space {part.space}")
    return tree.subtree(name) if part.subtree else [name]
