"""Drift: how the real world differs from what was applied, read from the plan of a check.

`loop.runs.record` calls `observe` at the end of a check and keeps the answer with the stack; `conditions` and
`planning` read it. The API calls `differences` to list what a check found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.core.results import Action, JsonValue, Planned, ResourceChange
from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import Observed, StackState, Sync
from spaces.model.drift import IgnoredDrift, Repair

_TAKES_AWAY = frozenset({Action.DELETE, Action.REPLACE})

_NO_DRIFT = frozenset({Action.READ, Action.FORGET, Action.IMPORT, Action.MOVE})
"""What a plan does to its tool's own records, or only looks at: the real world is as it should be."""


@dataclass(frozen=True, slots=True)
class AttributeDifference:
    """One attribute that differs: `was` as it was applied, `now` as it is. Sensitive values are masked."""

    name: str
    was: JsonValue
    now: JsonValue


@dataclass(frozen=True, slots=True)
class Difference:
    """One resource that differs. `was` are its attributes as applied, `now` as they are; None: it is not there."""

    address: str
    type: str
    provider: str
    was: JsonValue
    now: JsonValue
    replaced: bool = False
    """Whether it is there on both sides, and another one."""

    @property
    def kind(self) -> str:
        """Return `changed`, `replaced`, `missing` (it was applied and is not there) or `added`."""
        if self.replaced:
            return "replaced"
        if self.now is None and self.was is not None:
            return "missing"
        return "added" if self.was is None and self.now is not None else "changed"

    def attributes(self) -> Iterator[AttributeDifference]:
        """Yield the outermost attributes that differ, by name; none where the resource is there on one side only."""
        was, now = self.was, self.now
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            for name in sorted({*was, *now}):
                if was.get(name) != now.get(name):
                    yield AttributeDifference(str(name), was.get(name), now.get(name))


def differences(planned: Planned, ignore: Iterable[IgnoredDrift] = (), *, mendable: bool = True) -> list[Difference]:
    """Return how the real world differs from what was applied, by the plan of a check.

    `mendable`: the tool's plan puts drift right, so that its changes are the drift; otherwise the tool only tells.
    """
    rules = tuple(ignore)
    if mendable:
        found = [_from_plan(change) for change in planned.changes if change.action not in _NO_DRIFT]
    else:
        found = [_as_told(change) for change in planned.drifted]
    return [difference for difference in found if not _is_ignored(difference, rules)]


def observe(
    run: Run, planned: Planned, ignore: Iterable[IgnoredDrift], now: datetime, *, mendable: bool = True
) -> Observed:
    """Return what a check has found; `mendable` as for `differences`."""
    drifted = len(differences(planned, ignore, mendable=mendable))
    if planned.has_changes and not planned.changes:
        # A tool that cannot name what differs still says that something does.
        drifted = max(drifted, 1)
    return Observed(run.id, now, run.digest, drifted, mendable)


def takes_away(planned: Planned) -> bool:
    """Whether a plan deletes or replaces something."""
    return any(change.action in _TAKES_AWAY for change in planned.changes)


def awaits_repair(state: StackState, sync: Sync) -> bool:
    """Whether a run is to put drift right: the stack asks for it, and none was tried since the check.

    A stack out of sync gets the run that this asks for, by the rules for that one.
    """
    desired, applied, observed = state.desired, state.applied, state.observed
    if desired is None or desired.drift is None or applied is None or observed is None or sync is not Sync.SYNCED:
        return False
    if desired.drift.reconcile is Repair.NEVER or not observed.drifted or not observed.mendable:
        return False
    # Run ids sort by the time of their creation. One that gave way to another stack's run tried nothing.
    last = state.last
    tried = last is not None and last.run > observed.run and last.status != RunStatus.SUPERSEDED
    return not tried and desired.digest == applied.digest == observed.digest


def repairs_gently(state: StackState) -> bool:
    """Whether a run that puts drift right has to wait for a person before it deletes or replaces something."""
    return (
        state.desired is not None and state.desired.drift is not None and state.desired.drift.reconcile is Repair.SAFE
    )


def _from_plan(change: ResourceChange) -> Difference:
    replaced = change.action is Action.REPLACE
    was, now = change.after, change.before
    return Difference(change.address, change.type, change.provider, was, now, replaced)


def _as_told(change: ResourceChange) -> Difference:
    return Difference(change.address, change.type, change.provider, change.before, change.after)


def _is_ignored(difference: Difference, rules: tuple[IgnoredDrift, ...]) -> bool:
    names = {each.name for each in difference.attributes()}
    overlooked: set[str] = set()
    for rule in rules:
        if not rule.covers(difference.address):
            continue
        if not rule.attributes:
            return True
        overlooked.update(rule.attributes)
    return difference.kind == "changed" and bool(names) and names <= overlooked
