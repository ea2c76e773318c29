"""What is desired of a stack, as it is kept in the row of the stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from reconciler.core.state import Component, Desired, Fingerprint, SourceCommit, StackProblem
from reconciler.store.needs import need_from_json, need_to_json
from reconciler.store.pins import pin_from_json, pin_to_json
from reconciler.store.texts import moment, moment_text
from spaces.effective.rollouts import RolloutRule
from spaces.effective.windows import Freeze
from spaces.model.drift import Drift, IgnoredDrift, Repair
from spaces.model.pool import DEFAULT_POOL
from spaces.model.retries import Retry
from spaces.model.schedules import Schedule
from spaces.names import Digest, Revision

# Used several times for each stack: a dict takes a fifth of the time of calling the enum.
_COMPONENTS = {it.value: it for it in Component}


def fingerprint_from_json(components: Mapping[str, Mapping[str, str]]) -> Fingerprint:
    """Return a fingerprint by its components."""
    return Fingerprint({_COMPONENTS[name]: items for name, items in components.items()})


def desired_to_json(desired: Desired) -> dict[str, Any]:
    """Return what is desired of a stack, apart from its columns."""
    problem = desired.problem
    return {
        "fingerprint": desired.fingerprint.components,
        "revision": desired.revision,
        "labels": dict(desired.labels),
        "autodeploy": desired.autodeploy,
        "suspended": desired.suspended,
        "person": desired.person,
        "authors": list(desired.authors),
        "problem": [problem.reason, problem.message] if problem else None,
        "needs": [need_to_json(need) for need in desired.needs],
        "pushPolicies": desired.push_policies,
        "protected": desired.protected,
        "destroyAfter": desired.destroy_after,
        "leaving": desired.leaving,
        "source": source_to_json(desired.source),
        "refused": desired.refused,
        "drift": desired.drift.model_dump(mode="json") if desired.drift else None,
        "retry": [desired.retry.limit, desired.retry.backoff] if desired.retry else None,
        "ttl": desired.ttl,
        "rollout": astuple(desired.rollout) if desired.rollout else None,
        "freezes": [[each.space, each.cron, each.timezone, each.seconds, each.override] for each in desired.freezes],
        "destroyAt": moment_text(desired.destroy_at),
        "schedules": [[each.cron, each.timezone, each.task] for each in desired.schedules],
        "pin": pin_to_json(desired.pin) if desired.pin else None,
        "behind": list(desired.behind),
        "pool": desired.pool,
    }


def desired_from_json(body: dict[str, Any], digest: str, tool: str) -> Desired:
    """Return what is desired of a stack, with the columns `desired_digest` and `tool`."""
    return Desired(
        Digest(digest),
        fingerprint_from_json(body["fingerprint"]),
        Revision(body["revision"]),
        tool,
        body["labels"],
        body["autodeploy"],
        body["suspended"],
        body["person"],
        StackProblem(*body["problem"]) if body["problem"] else None,
        tuple(map(need_from_json, body.get("needs", ()))),
        push_policies=body.get("pushPolicies"),
        authors=tuple(body.get("authors", ())),
        protected=body.get("protected", False),
        destroy_after=body.get("destroyAfter", False),
        leaving=body.get("leaving", False),
        source=source_from_json(body.get("source")),
        refused=body.get("refused"),
        drift=_drift_from_json(body.get("drift")),
        retry=_retry_from_json(body.get("retry")),
        ttl=body.get("ttl"),
        rollout=RolloutRule(*body["rollout"]) if body.get("rollout") else None,
        freezes=tuple(Freeze(*each) for each in body.get("freezes", ())),
        destroy_at=moment(body.get("destroyAt")),
        # As they were checked when their document was read.
        schedules=tuple(_schedule_from_json(*each) for each in body.get("schedules", ())),
        pin=pin_from_json(body["pin"]) if body.get("pin") else None,
        behind=tuple(body.get("behind", ())),
        pool=body.get("pool", DEFAULT_POOL),
    )


def source_to_json(source: SourceCommit | None) -> list[str | None] | None:
    """Return the commit that a source was taken from."""
    return None if source is None else [source.repository, source.revision, source.author]


def source_from_json(body: list[str | None] | None) -> SourceCommit | None:
    """Return the commit that a source was taken from; None: there was none."""
    if body is None:
        return None
    repository, revision, author = body
    return SourceCommit(repository, Revision(revision or ""), author)


def _schedule_from_json(cron: str, timezone: str, task: str | None = None) -> Schedule:
    return Schedule.model_construct(cron=cron, timezone=timezone, run=True if task is None else None, task=task)


def _drift_from_json(body: dict[str, Any] | None) -> Drift | None:
    if body is None:
        return None
    # As it was checked when its document was read.
    return Drift.model_construct(
        schedules=tuple(body["schedules"]),
        timezone=body["timezone"],
        reconcile=Repair(body["reconcile"]),
        ignore=tuple(
            IgnoredDrift.model_construct(address=it["address"], attributes=tuple(it["attributes"]))
            for it in body["ignore"]
        ),
    )


def _retry_from_json(body: list[int] | None) -> Retry | None:
    # As it was checked when its document was read.
    return None if body is None else Retry.model_construct(limit=body[0], backoff=body[1])
