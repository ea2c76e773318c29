"""From one desired state of a stack to the next: what stays as it was, and whose changes come along. Pure.

`loop.desired.record` calls `carry_on` when it records a new generation. `same_desired` tells a service that has started
whether the store already has what it desires, and `same_files` whether a commit of a source changed anything of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain

from reconciler.core.reasons import Reason
from reconciler.core.state import Component, Desired, StackProblem


def same_desired(one: Desired, other: Desired) -> bool:
    """Whether both ask for the same, apart from the outputs of other stacks and from their authors."""
    return (
        one.fingerprint.own == other.fingerprint.own
        and one.needs == other.needs
        and one.tool == other.tool
        and one.autodeploy == other.autodeploy
        and one.suspended == other.suspended
        and one.protected == other.protected
        and one.destroy_after == other.destroy_after
        and one.drift == other.drift
        and (one.schedules, one.ttl, one.destroy_at) == (other.schedules, other.ttl, other.destroy_at)
        and (one.retry, one.freezes, one.rollout) == (other.retry, other.freezes, other.rollout)
        and (one.pin == other.pin if one.pin is None else one.pin.is_same(other.pin))
        and _own_problem(one) == _own_problem(other)
        and one.labels == other.labels
        and one.push_policies == other.push_policies
        and one.pool == other.pool
    )


def same_files(before: Desired, now: Desired) -> bool:
    """Whether a source has the same content: no commit since then changed anything of it, wherever it lies now."""
    old, new = (each.fingerprint.components.get(Component.SOURCE) for each in (before, now))
    return old is not None and old == new


def carry_on(before: Desired, now: Desired, *, moves: bool, applied: bool) -> Desired:
    """Return the desired state with what stays true of the same stack: its authors, and that its move is blocked.

    `applied`: the earlier desired state was applied, so that its authors have no part in the next run.
    """
    if (
        moves
        and _own_problem(now) is None
        and before.problem is not None
        and before.problem.reason == Reason.MOVE_BLOCKED
    ):
        now = replace(now, problem=before.problem)
    if now.lacks_source and now.pin is not None and now.pin.is_same(before.pin):
        now = replace(now, digest=before.digest, fingerprint=before.fingerprint, needs=before.needs)
    if now.lacks_source and _apart_from_source(before) == _apart_from_source(now):
        # What was planned from it is as good as before: its digest stays, and nothing that waits is thrown away.
        now = replace(now, digest=before.digest, fingerprint=before.fingerprint)
    now = _with_authors(before, now, applied=applied)
    if before.source is not None and same_files(before, now):
        name = now.source.repository if now.source is not None else before.source.repository
        now = replace(now, source=replace(before.source, repository=name))
    return replace(now, revision=before.revision, person=before.person) if now.digest == before.digest else now


def _with_authors(before: Desired, now: Desired, *, applied: bool) -> Desired:
    """Return the desired state with everyone whose changes its next run brings."""
    earlier = (*before.authors, *([before.person] if before.person else ()))
    if now.pin is not None:
        # What others changed waits behind it. Nobody knows how much of that is in the earlier revision as well.
        behind = _each_once(earlier if before.pin is None else before.behind, now.behind)
        return replace(now, behind=behind, authors=_each_once(behind, now.authors))
    if before.pin is not None:
        brought = _each_once(before.behind, now.authors)
        return replace(now, authors=brought, person=now.person or next(reversed(brought), None))
    return now if applied else replace(now, authors=_each_once(earlier, now.authors))


def _apart_from_source(desired: Desired) -> Mapping[Component, Mapping[str, str]]:
    components = desired.fingerprint.components.items()
    return {component: items for component, items in components if component is not Component.SOURCE and items}


def _own_problem(desired: Desired) -> StackProblem | None:
    problem = desired.problem
    return None if problem is not None and problem.reason == Reason.OUTPUT_MISSING else problem


def _each_once(*persons: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(persons)))
