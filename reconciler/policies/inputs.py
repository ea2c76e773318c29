"""The inputs of policies: one shape for every tool, documented in docs/policies.md. It only ever grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciler.core.normalised import plan_to_json
from reconciler.core.results import Planned
from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import Component, SourceCommit, StackState
from reconciler.core.verdicts import Review
from reconciler.words import moment
from spaces.effective.policies import Surroundings
from spaces.model.policy import PolicySpec
from spaces.names import StackId


@dataclass(frozen=True, slots=True)
class Membership:
    """The groups of a person, and the roles that they hold in the space of a stack, by the rules as they are now."""

    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


NO_STANDING = Membership()


@dataclass(frozen=True, slots=True)
class Case:
    """The facts for a question about a run. `authors` are the persons who caused it."""

    run: Run
    tool: str
    labels: dict[str, str]
    space: Surroundings
    planned: Planned
    previous: Run | None
    reviews: Sequence[Review]
    authors: frozenset[str]
    now: datetime
    standings: Mapping[str, Membership] = field(default_factory=dict)
    """What the reviewers are, by name."""


@dataclass(frozen=True, slots=True)
class PushCase:
    """The facts for a question about a change. `paths` is limited; `truncated` tells that more files changed."""

    state: StackState
    tool: str
    labels: dict[str, str]
    space: Surroundings
    repository: str
    branch: str | None
    revision: str
    paths: Sequence[str]
    truncated: bool
    now: datetime


def push_input(case: PushCase) -> dict[str, Any]:
    """Return the input of push policies: how a stack differs from what was applied, and who changed it."""
    state, desired, applied = case.state, case.state.desired, case.state.applied
    assert desired is not None  # noqa: S101 - a stack that left Git has nothing to push
    components = {why.component for why in state.why} if applied is not None else set(desired.fingerprint.components)
    return {
        "now": moment(case.now),
        "push": {
            "repository": case.repository,
            "branch": case.branch,
            "revision": case.revision,
            "applied": applied.revision if applied is not None else None,
            "paths": list(case.paths),
            "truncated": case.truncated,
            "components": [component.value for component in Component if component in components],
            "why": [{"component": why.component.value, "summary": why.summary} for why in state.why],
        },
        "stack": _stack(state.id, case.tool, case.labels),
        "space": _space(case.space),
        "person": desired.person,
    }


def event_input(case: Case) -> dict[str, Any]:
    """Return the input of notification policies: everything known about a run, and the event."""
    given, run = input_of(case), case.run
    status = {"status": run.status.value, "reason": run.reason, "message": run.message}
    return {**given, "run": {**given["run"], **status}, "event": EVENTS.get(run.status, run.status.value)}


EVENTS = {RunStatus.UNCONFIRMED: "waits"}
"""The events whose name is not the run's status."""


def shown_to(given: dict[str, Any], policy: PolicySpec | None) -> dict[str, Any]:
    """Return the input as this policy may see it: without reviews by authors, unless the policy counts them."""
    # The parameters are each policy's own.
    given = {key: value for key, value in given.items() if key != "params"}
    reviews = given.get("reviews")
    if (policy is not None and policy.author_counts) or not isinstance(reviews, list):
        return given
    return {
        **given,
        "reviews": [review for review in reviews if not (isinstance(review, dict) and review.get("author"))],
    }


def input_of(case: Case) -> dict[str, Any]:
    """Return the input about a run, with every review."""
    run = case.run
    reviews = [
        {
            "person": review.person,
            "approve": review.approves,
            "note": review.note,
            "author": review.person in case.authors,
            "groups": list(case.standings.get(review.person, NO_STANDING).groups),
            "roles": list(case.standings.get(review.person, NO_STANDING).roles),
            "at": moment(review.at),
        }
        for review in case.reviews
    ]
    return {
        "now": moment(case.now),
        "plan": plan_to_json(case.planned),
        "run": {
            "id": run.id,
            "kind": run.kind.value,
            "command": run.command,
            "targets": list(run.targets),
            "refreshes": run.refreshes,
            "revision": run.revision,
            "person": run.person,
            "createdAt": moment(run.created_at),
            "why": [{"component": why.component.value, "summary": why.summary} for why in run.why],
            "confirmedBy": run.confirmed_by,
            "changes": run.changes.named(),
            "source": _source(run.source),
        },
        "stack": _stack(run.stack, case.tool, case.labels),
        "space": _space(case.space),
        "person": run.person,
        "previousRun": _previous(case.previous),
        "facts": dict(case.planned.facts),
        "reviews": reviews,
    }


def _source(source: SourceCommit | None) -> dict[str, Any] | None:
    if source is None:
        return None
    return {"repository": source.repository, "revision": source.revision, "author": source.author}


def _stack(stack: StackId, tool: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"id": str(stack), "space": stack.space, "name": stack.name, "tool": tool, "labels": labels}


def _space(space: Surroundings) -> dict[str, Any]:
    return {"name": space.name, "labels": dict(space.labels), "path": list(space.path)}


def _previous(run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "id": run.id,
        "kind": run.kind.value,
        "status": run.status.value,
        "revision": run.revision,
        "person": run.person,
        "finishedAt": moment(run.finished_at) if run.finished_at else None,
    }
