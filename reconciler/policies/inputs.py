"""What policies are asked about: one shape for every tool, documented in docs/policies.md. It only ever grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.core.results import OutputChange, Planned, ResourceChange
from reconciler.core.runs import Run
from reconciler.core.verdicts import Review
from spaces.guardrails import Surroundings
from spaces.model.policy import PolicySpec


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a question about a run is made of. `authors` are the persons who caused it."""

    run: Run
    tool: str
    labels: dict[str, str]
    space: Surroundings
    planned: Planned
    previous: Run | None
    reviews: Sequence[Review]
    authors: frozenset[str]
    now: datetime


def shown_to(given: dict[str, Any], policy: PolicySpec) -> dict[str, Any]:
    """Give what of an input this policy sees: reviews by those who caused the run only where it says so."""
    reviews = given.get("reviews")
    if policy.author_counts or not isinstance(reviews, list):
        return given
    return {**given, "reviews": [each for each in reviews if not (isinstance(each, dict) and each.get("author"))]}


def input_of(case: Case) -> dict[str, Any]:
    """Give all that there is to ask about, every review included."""
    run = case.run
    reviews = [
        {
            "person": review.person,
            "approve": review.approves,
            "note": review.note,
            "author": review.person in case.authors,
            "at": _moment(review.at),
        }
        for review in case.reviews
    ]
    return {
        "now": _moment(case.now),
        "plan": {
            "changes": [_change(change) for change in case.planned.changes],
            "outputs": [_output(change) for change in case.planned.outputs],
        },
        "run": {
            "id": run.id,
            "kind": run.kind.value,
            "revision": run.revision,
            "person": run.person,
            "createdAt": _moment(run.created_at),
            "why": [{"component": why.component.value, "summary": why.summary} for why in run.why],
            "confirmedBy": run.confirmed_by,
            "changes": {
                "create": run.changes.create,
                "update": run.changes.update,
                "delete": run.changes.delete,
                "replace": run.changes.replace,
            },
        },
        "stack": {
            "id": str(run.stack),
            "space": run.stack.space,
            "name": run.stack.name,
            "tool": case.tool,
            "labels": case.labels,
        },
        "space": {"name": case.space.name, "labels": dict(case.space.labels), "path": list(case.space.path)},
        "person": run.person,
        "previousRun": _previous(case.previous),
        "reviews": reviews,
    }


def _change(change: ResourceChange) -> dict[str, Any]:
    return {
        "address": change.address,
        "type": change.type,
        "provider": change.provider,
        "action": change.action.value,
        "before": change.before,
        "after": change.after,
    }


def _output(change: OutputChange) -> dict[str, Any]:
    return {
        "name": change.name,
        "action": change.action.value,
        "before": change.before,
        "after": change.after,
        "sensitive": change.sensitive,
    }


def _previous(run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "id": run.id,
        "kind": run.kind.value,
        "status": run.status.value,
        "revision": run.revision,
        "person": run.person,
        "finishedAt": _moment(run.finished_at) if run.finished_at else None,
    }


def _moment(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
