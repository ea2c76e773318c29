"""Freeze windows as the API tells of them, and who may let a run through."""

from __future__ import annotations

from datetime import datetime

from reconciler.core.freezing import Frozen, frozen
from reconciler.core.state import StackState
from reconciler.refusals import OperationRefused, Refusal
from reconciler.web.api.auth import Caller, Right
from reconciler.web.api.schemas.overview import WindowJson
from reconciler.web.api.schemas.stacks import FrozenJson
from reconciler.web.api.told import Told
from spaces.documents.documents import PlacedDocuments
from spaces.effective.windows import Freeze, own_freezes
from spaces.names import Kind


def basis(caller: Caller, window: Frozen) -> str:
    """Return what somebody's right to let a run through rests on; refused where a window asks for another role."""
    if caller.access is None:
        return "the operator's token"
    found = []
    for each in window.windows:
        held = caller.access.holds(caller.subject, each.override, each.space) if each.override is not None else None
        if held is None:
            raise OperationRefused(Refusal.FROZEN, f"{window}: {_who(each, Told.of(caller))}")
        found.append(held)
    return "; ".join(dict.fromkeys(found))


def frozen_json(state: StackState, now: datetime, told: Told) -> FrozenJson | None:
    """Return until when a stack is frozen, and by which windows; None: it is not."""
    window = frozen(state, now)
    if window is None:
        return None
    return FrozenJson(until=window.until, windows=[_window(each, now, told) for each in window.windows])


def open_in(documents: PlacedDocuments, caller: Caller, now: datetime) -> list[WindowJson]:
    """Return the windows that are open in the spaces that somebody sees."""
    seen = caller.spaces(Right.SPACE_READ)
    told = Told.of(caller)
    spaces = (it.ref.space for it in documents.of_kind(Kind.SPACE) if seen is None or it.ref.space in seen)
    return [
        _window(each, now, told)
        for space in sorted(spaces)
        for each in own_freezes(documents, space)
        if each.until(now) is not None
    ]


def _window(window: Freeze, now: datetime, told: Told) -> WindowJson:
    return WindowJson(space=told.space(window.space), until=window.until(now) or now, override=window.override)


def _who(window: Freeze, told: Told) -> str:
    where = told.space(window.space)
    if window.override is None:
        return f"the window of {where} lets nobody through"
    return f"only who holds the role {window.override} in {where} lets a run through"
