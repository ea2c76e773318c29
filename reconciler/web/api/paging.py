"""Cursor pages: one more than asked for is read, to know whether there is a next page."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from reconciler.web.api.auth import Caller, Right
from reconciler.web.api.errors import invalid, not_found
from reconciler.web.api.schemas.shapes import Page
from spaces.documents.tree import SpaceTree
from spaces.names import SpaceName, StackId

_Found = TypeVar("_Found")
_Shown = TypeVar("_Shown")

_RUN = re.compile(r"[0-9a-z]{26}")
_NO_CURSOR = "it is not one that a page ended with"

LimitIn = Annotated[int, Query(ge=1, le=1000, description="How many items at most.")]
CursorIn = Annotated[str | None, Query(max_length=600, description="`next` of the page before.")]
SpaceIn = Annotated[str | None, Query(max_length=63, description="Only this space.")]
SubtreeIn = Annotated[bool, Query(description="With `space`: all spaces below it, too.")]


def page(
    found: Sequence[_Found], limit: int, key: Callable[[_Found], str], show: Callable[[_Found], _Shown]
) -> Page[_Shown]:
    """Make a page out of up to `limit + 1` items; `key` names an item in a cursor."""
    items = found[:limit]
    return Page(items=[show(item) for item in items], next=key(items[-1]) if len(found) > limit else None)


def behind(found: Sequence[_Found], cursor: str | None, limit: int, key: Callable[[_Found], str]) -> list[_Found]:
    """Cut `limit + 1` items behind the cursor out of a whole list that is sorted by `key`."""
    return [item for item in found if cursor is None or key(item) > cursor][: limit + 1]


def of_stacks(cursor: str | None) -> str | None:
    """Give the cursor of a list of stacks; 422 where it cannot be one."""
    if cursor is not None:
        try:
            StackId.parse(cursor)
        except ValueError:
            raise invalid("cursor", _NO_CURSOR) from None
    return cursor


def of_runs(cursor: str | None) -> str | None:
    """Give the cursor of a list of runs; 422 where it cannot be one."""
    if cursor is not None and not _RUN.fullmatch(cursor):
        raise invalid("cursor", _NO_CURSOR)
    return cursor


def chosen_spaces(
    tree: SpaceTree, caller: Caller, right: Right, space: str | None, *, subtree: bool
) -> list[SpaceName] | None:
    """Say which spaces a listing is about, of those in which the caller has the right; None: every one.

    404 for a space that the caller does not see.
    """
    narrowed = caller.narrow(right, named_spaces(tree, caller, space, subtree=subtree))
    return None if narrowed is None else sorted(narrowed)


def named_spaces(tree: SpaceTree, caller: Caller, space: str | None, *, subtree: bool) -> Collection[SpaceName] | None:
    """Say which spaces a listing asks for; None: every one. 404 for a space that the caller does not see."""
    if space is None:
        return None
    name = SpaceName(space)
    if not tree.exists(name) or not caller.allows(Right.SPACE_READ, name):
        raise not_found(f"space {space}")
    return tree.subtree(name) if subtree else [name]
