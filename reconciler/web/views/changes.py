"""A plan as a diff that people read: what destroys first, and of every resource only what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.core.results import Action
from reconciler.web.api.schemas.runs import OutputChangeJson, PlanJson, ResourceChangeJson
from reconciler.web.views.diffs import Diff, DiffLine, compared, compared_whole
from reconciler.web.views.tones import Tone

SHOWN = 100
"""Resources that are shown at once."""

_ORDER = (
    Action.DELETE,
    Action.REPLACE,
    Action.UPDATE,
    Action.CREATE,
    Action.IMPORT,
    Action.MOVE,
    Action.FORGET,
    Action.READ,
)
_SIGNS = {
    Action.DELETE: "-",
    Action.REPLACE: "±",
    Action.UPDATE: "~",
    Action.CREATE: "+",
    Action.IMPORT: "←",
    Action.MOVE: "→",
    Action.FORGET: "∅",
    Action.READ: "?",
}
_TONES = {
    Action.DELETE: Tone.BAD,
    Action.REPLACE: Tone.BAD,
    Action.UPDATE: Tone.WAITING,
    Action.CREATE: Tone.GOOD,
    Action.IMPORT: Tone.BUSY,
    Action.MOVE: Tone.BUSY,
    Action.FORGET: Tone.QUIET,
    Action.READ: Tone.QUIET,
}
_VERBS = {
    Action.DELETE: "destroyed",
    Action.REPLACE: "replaced",
    Action.UPDATE: "changed",
    Action.CREATE: "created",
    Action.IMPORT: "imported",
    Action.MOVE: "moved",
    Action.FORGET: "forgotten",
    Action.READ: "read",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one resource or output. `left_out`: lines that are too many to be shown."""

    verb: str
    sign: str
    tone: Tone
    address: str
    type: str
    note: str
    lines: tuple[DiffLine, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Count:
    """How many resources have one action."""

    verb: str
    sign: str
    tone: Tone
    number: int


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan. `more`: resources after those shown, from `skip` on; `nothing`: it changes nothing at all."""

    counts: tuple[Count, ...]
    changes: tuple[Change, ...]
    outputs: tuple[Change, ...]
    drifted: tuple[Change, ...]
    more: int
    skip: int
    nothing: bool
    tool_version: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What hooks found out for the policies."""


def plan_view(plan: PlanJson, skip: int = 0) -> PlanView:
    """Return a plan, with the resources from `skip` on."""
    ranked = sorted(plan.changes, key=lambda change: (_ORDER.index(Action(change.action)), change.address))
    shown = ranked[skip : skip + SHOWN]
    return PlanView(
        counts=summary(Counter(change.action for change in plan.changes)),
        changes=tuple(map(_resource, shown)),
        outputs=tuple(map(_output, plan.outputs[:SHOWN])),
        drifted=tuple(map(_resource, plan.drifted[:SHOWN])),
        more=max(0, len(ranked) - skip - SHOWN),
        skip=skip + SHOWN,
        nothing=not plan.has_changes,
        tool_version=plan.tool_version or "",
        facts=plan.facts,
    )


def summary(counts: Mapping[str, int]) -> tuple[Count, ...]:
    """Return counts by the names of actions, destroying ones first."""
    named = ((action, counts.get(action, 0)) for action in _ORDER)
    return tuple(Count(_VERBS[it], _SIGNS[it], _TONES[it], number) for it, number in named if number)


def _resource(change: ResourceChangeJson) -> Change:
    origins = (("moved from", change.moved_from), ("import of", change.imported_id))
    note = ", ".join(f"{word} {origin}" for word, origin in origins if origin)
    return _change(change.action, change.address, change.type, note, compared(change.before, change.after))


def _output(change: OutputChangeJson) -> Change:
    note = "sensitive" if change.sensitive else ""
    return _change(change.action, change.name, "output", note, compared_whole(change.before, change.after))


def _change(action: str, address: str, kind: str, note: str, diff: Diff) -> Change:
    known = Action(action)
    return Change(_VERBS[known], _SIGNS[known], _TONES[known], address, kind, note, diff.lines, diff.left_out)
