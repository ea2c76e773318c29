"""Stacks and runs as rows, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row

from reconciler.core.keeping import StackLock
from reconciler.core.phases import Phase
from reconciler.core.queue import line_of
from reconciler.core.results import ChangeCounts
from reconciler.core.rollouts import CANARY, part_of, rollout_id
from reconciler.core.runs import ProposedRef, Run, RunId, RunKind, RunStatus
from reconciler.core.state import (
    AppliedState,
    Component,
    Condition,
    ConditionStatus,
    ConditionType,
    Desired,
    Heading,
    NewestRun,
    Observed,
    Push,
    StackState,
    Sync,
    Why,
)
from reconciler.store.desired import (
    desired_from_json,
    desired_to_json,
    fingerprint_from_json,
    source_from_json,
    source_to_json,
)
from reconciler.store.texts import dump, load, moment, moment_text
from spaces.model.pool import DEFAULT_POOL
from spaces.names import Digest, Revision, SpaceName, StackId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Used ten times for each stack: a dict takes a fifth of the time of calling the enum.
_COMPONENTS = {it.value: it for it in Component}
_CONDITIONS = {it.value: it for it in ConditionType}
_ANSWERS = {it.value: it for it in ConditionStatus}
_SYNCS = {it.value: it for it in Sync}


def micros(time: datetime | None) -> int | None:
    """Return a time (with a zone) as microseconds since 1970."""
    return None if time is None else (time - _EPOCH) // _MICROSECOND


def from_micros(number: int | None) -> datetime | None:
    """Return the time in UTC, or None."""
    return None if number is None else _EPOCH + timedelta(microseconds=number)


def instant(number: int) -> datetime:
    """Return the time in a column that is never empty."""
    return _EPOCH + timedelta(microseconds=number)


def stack_to_row(state: StackState) -> dict[str, Any]:
    """Return the values of a row of `stacks`, without its key."""
    desired, applied = state.desired, state.applied
    return {
        "space": state.id.space,
        "name": state.id.name,
        "in_git": desired is not None,
        "tool": desired.tool if desired else None,
        "sync": state.sync.value,
        "desired_digest": desired.digest if desired else None,
        "applied_digest": applied.digest if applied else None,
        "due_at": micros(state.due_at),
        "ready": _answer(state, ConditionType.READY),
        "stalled": _answer(state, ConditionType.STALLED),
        "drifted": state.observed.drifted if state.observed else None,
        "applied_at": micros(applied.at) if applied else None,
        **_rollout_columns(state),
        "pool": column_of(desired.pool) if desired else None,
        "body": dump(
            {
                "desired": desired_to_json(desired) if desired else None,
                "applied": _applied_to_json(applied, desired) if applied else None,
                "last": _outcome_to_json(state.last) if state.last else None,
                "paused": state.paused,
                "interrupted": state.interrupted,
                "retryAt": moment_text(state.retry_at),
                "push": [state.push.digest, state.push.policies, state.push.heading, state.push.message]
                if state.push
                else None,
                "failed": _outcome_to_json(state.failed) if state.failed else None,
                "observed": _observed_to_json(state.observed) if state.observed else None,
                "lock": _lock_to_json(state.lock) if state.lock else None,
                "turn": state.turn,
                "reason": state.reason,
                "why": _why_to_json(state.why),
                "conditions": {
                    kind: [it.status, it.reason, it.message, moment_text(it.since)]
                    for kind, it in state.conditions.items()
                },
            }
        ),
    }


def column_of(pool: str) -> str | None:
    """Return a pool as the columns of that name have it: null is the service's own machine."""
    return None if pool == DEFAULT_POOL else pool


def _rollout_columns(state: StackState) -> dict[str, str | None]:
    rollout = rollout_id(state)
    if rollout is None or state.desired is None or state.desired.rollout is None:
        return {"rollout": None, "rollout_part": None}
    first = CANARY if state.desired.rollout.is_canary else ""
    return {"rollout": str(rollout), "rollout_part": f"{first}{part_of(state)}"}


def _answer(state: StackState, condition: ConditionType) -> str | None:
    found = state.conditions.get(condition)
    return None if found is None else found.status.value


def stack_from_row(row: Row[Any]) -> StackState:
    """Return the stack in a row of `stacks` that has a body."""
    body = load(row.body)
    desired = desired_from_json(body["desired"], row.desired_digest, row.tool) if body["desired"] else None
    return StackState(
        StackId(SpaceName(row.space), row.name),
        desired,
        _applied_from_json(body["applied"], desired, row) if body["applied"] else None,
        _outcome_from_json(body["last"]) if body["last"] else None,
        body["paused"],
        body["interrupted"],
        moment(body["retryAt"]),
        _push_from_json(body.get("push")),
        _outcome_from_json(body["failed"]) if body.get("failed") else None,
        _observed_from_json(body["observed"], row.drifted) if body.get("observed") else None,
        _lock_from_json(body["lock"]) if body.get("lock") else None,
        _SYNCS[row.sync],
        body["reason"],
        _why_from_json(body["why"]),
        {
            _CONDITIONS[kind]: Condition(_ANSWERS[status], reason, message, datetime.fromisoformat(since))
            for kind, (status, reason, message, since) in body["conditions"].items()
        },
        body.get("turn"),
        from_micros(row.due_at),
    )


def read_desired(digest: str, tool: str, body: str) -> Desired:
    """Return only the desired state from these columns of a row of `stacks` that is in Git."""
    return desired_from_json(load(body)["desired"], digest, tool)


def run_to_row(run: Run) -> dict[str, Any]:
    """Return the values of a row of `runs`, without the stack's key."""
    return {
        "id": run.id,
        "kind": run.kind.value,
        "status": run.status.value,
        "attempt": run.attempt,
        "holder": run.holder,
        "lease_until": micros(run.lease_until),
        "cancel_requested": run.cancel_requested,
        "started_at": micros(run.started_at),
        "finished_at": micros(run.finished_at),
        # How far a revision of the branch got is counted by it.
        "revision": run.revision if run.proposes is None else None,
        "line": line_of(run),
        "pool": column_of(run.pool),
        "body": dump(
            {
                "revision": run.revision,
                "digest": run.digest,
                "fingerprint": run.fingerprint.components,
                "createdAt": moment_text(run.created_at),
                "why": _why_to_json(run.why),
                "person": run.person,
                "needsConfirmation": run.needs_confirmation,
                "phase": run.phase,
                "reason": run.reason,
                "message": run.message,
                "changes": list(run.changes.named().values()),
                "planDigest": run.plan_digest,
                "finishedAt": moment_text(run.finished_at),
                "confirmedBy": run.confirmed_by,
                "awaitsApproval": run.awaits_approval,
                "toJudge": run.to_judge,
                "source": source_to_json(run.source),
                "command": run.command,
                "leaving": run.leaving,
                "repairs": run.repairs,
                "frozen": run.frozen,
                "through": run.through,
                "gentle": run.gentle,
                "scheduled": run.scheduled,
                "retry": run.retry,
                "refreshes": run.refreshes,
                "prioritized": run.prioritized,
                "targets": list(run.targets),
                "proposes": [run.proposes.ref, run.proposes.revision] if run.proposes is not None else None,
                "phaseSeconds": dict(run.phase_seconds),
            }
        ),
    }


def run_from_row(row: Row[Any]) -> Run:
    """Return the run in a row of `runs` joined with the space and name of its stack."""
    body = load(row.body)
    return Run(
        id=RunId(row.id),
        stack=StackId(SpaceName(row.space), row.name),
        kind=RunKind(row.kind),
        status=RunStatus(row.status),
        revision=Revision(body["revision"]),
        digest=Digest(body["digest"]),
        fingerprint=fingerprint_from_json(body["fingerprint"]),
        created_at=datetime.fromisoformat(body["createdAt"]),
        why=_why_from_json(body["why"]),
        person=body["person"],
        needs_confirmation=body["needsConfirmation"],
        phase=Phase(body["phase"]) if body["phase"] else None,
        reason=body["reason"],
        message=body["message"],
        changes=ChangeCounts(*body["changes"]),
        plan_digest=body["planDigest"],
        attempt=row.attempt,
        holder=row.holder,
        lease_until=from_micros(row.lease_until),
        cancel_requested=row.cancel_requested,
        started_at=from_micros(row.started_at),
        finished_at=moment(body["finishedAt"]),
        confirmed_by=body["confirmedBy"],
        awaits_approval=body.get("awaitsApproval", False),
        to_judge=body.get("toJudge", False),
        source=source_from_json(body.get("source")),
        command=body.get("command"),
        leaving=body.get("leaving", False),
        repairs=body.get("repairs"),
        frozen=body.get("frozen", False),
        through=body.get("through"),
        gentle=body.get("gentle", False),
        scheduled=body.get("scheduled", False),
        retry=body.get("retry", 0),
        refreshes=body.get("refreshes", False),
        prioritized=body.get("prioritized", False),
        targets=tuple(body.get("targets", ())),
        proposes=ProposedRef(*body["proposes"]) if body.get("proposes") else None,
        phase_seconds={Phase(phase): seconds for phase, seconds in body.get("phaseSeconds", {}).items()},
        pool=row.pool or DEFAULT_POOL,
    )


def _why_to_json(why: tuple[Why, ...]) -> list[list[str]]:
    return [[it.component, it.summary] for it in why]


def _why_from_json(why: list[list[str]]) -> tuple[Why, ...]:
    return tuple(Why(_COMPONENTS[component], summary) for component, summary in why)


def _observed_to_json(observed: Observed) -> list[Any]:
    return [observed.run, moment_text(observed.at), observed.digest, observed.failed, observed.mendable]


def _observed_from_json(body: list[Any], drifted: int) -> Observed:
    run, at, digest, failed, mendable = body
    return Observed(run, datetime.fromisoformat(at), Digest(digest), drifted, mendable, failed)


def _lock_to_json(lock: StackLock) -> list[str | None]:
    return [lock.person, lock.note, moment_text(lock.since), moment_text(lock.until)]


def _lock_from_json(body: list[str]) -> StackLock:
    person, note, since, until = body
    return StackLock(person, note, datetime.fromisoformat(since), moment(until))


def _push_from_json(body: list[str] | None) -> Push | None:
    if body is None:
        return None
    digest, policies, heading, message = body
    return Push(Digest(digest), policies, Heading(heading), message)


def _applied_to_json(applied: AppliedState, desired: Desired | None) -> dict[str, Any]:
    # Most stacks are in sync, so the fingerprint, the longest part, need not be written twice.
    shared = desired is not None and desired.fingerprint == applied.fingerprint
    return {
        "fingerprint": None if shared else applied.fingerprint.components,
        "revision": applied.revision,
        "run": applied.run,
        "at": moment_text(applied.at),
        "source": source_to_json(applied.source),
        "first": moment_text(applied.first),
        "partly": applied.partly,
        "changed": applied.changed,
    }


def _applied_from_json(body: dict[str, Any], desired: Desired | None, row: Row[Any]) -> AppliedState:
    if body["fingerprint"] is None and desired is not None:
        fingerprint = desired.fingerprint
    else:
        fingerprint = fingerprint_from_json(body["fingerprint"])
    return AppliedState(
        Digest(row.applied_digest),
        fingerprint,
        Revision(body["revision"]),
        body["run"],
        datetime.fromisoformat(body["at"]),
        source_from_json(body.get("source")),
        moment(body.get("first")),
        body.get("changed"),
        body.get("partly", False),
    )


def _outcome_to_json(last: NewestRun) -> list[Any]:
    return [
        last.run,
        last.kind,
        last.status,
        last.reason,
        last.message,
        last.digest,
        moment_text(last.at),
        last.failures,
        last.applying,
        last.retry,
    ]


def _outcome_from_json(body: list[Any]) -> NewestRun:
    run, kind, status, reason, message, digest, at, failures, *rest = body
    return NewestRun(run, kind, status, reason, message, Digest(digest), datetime.fromisoformat(at), failures, *rest)
