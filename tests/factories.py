"""Small makers of domain records: every field has a sensible value, and a test names only what it is about."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.core.identifiers import run_id
from reconciler.core.results import Output, Resource
from reconciler.core.runs import Run, RunEvent, RunId, RunKind, RunStatus, status_after
from reconciler.core.state import AppliedState, Component, Desired, Fingerprint, NewestRun, StackState
from reconciler.store.protocol import Transaction
from reconciler.store.provenances import ResourceAuthor
from reconciler.store.results import StackResults
from spaces.names import Revision, StackId

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
REVISION = Revision("a" * 40)
OTHER_REVISION = Revision("b" * 40)

_serial = itertools.count(1)


def a_stack_id(text: str = "root/network") -> StackId:
    """Read `space/name`."""
    return StackId.parse(text)


def a_run_id(now: datetime = NOW) -> RunId:
    """Give a new id; later calls with the same time sort later."""
    return run_id(now, next(_serial).to_bytes(10))


def a_fingerprint(**components: dict[str, str]) -> Fingerprint:
    """Give a fingerprint: `a_fingerprint(spec={"env A": "1f"})`; without components one that is always the same."""
    given = components or {"spec": {"tool": "11"}, "source": {"tree .": "22"}}
    return Fingerprint({Component(name): items for name, items in given.items()})


def advanced(run: Run, event: RunEvent, **changes: Any) -> Run:
    """Give a run after an event alone, without what follows from it."""
    return run.evolve(status=status_after(run.status, event), **changes)


def a_desired(fingerprint: Fingerprint | None = None, **changes: Any) -> Desired:
    """Give what Git says of a script stack; the digest is the fingerprint's."""
    fingerprint = fingerprint or a_fingerprint()
    values: dict[str, Any] = {"digest": fingerprint.digest, "revision": REVISION, "tool": "script"}
    return Desired(fingerprint=fingerprint, **(values | changes))


def an_applied(fingerprint: Fingerprint | None = None, **changes: Any) -> AppliedState:
    """Give what a successful run left behind."""
    fingerprint = fingerprint or a_fingerprint()
    values: dict[str, Any] = {"digest": fingerprint.digest, "revision": REVISION, "run": a_run_id(), "at": NOW}
    return AppliedState(fingerprint=fingerprint, **(values | changes))


def an_outcome(**changes: Any) -> NewestRun:
    """Give how a tracked run ended: well, unless `changes` say otherwise."""
    values: dict[str, Any] = {
        "run": a_run_id(),
        "kind": "tracked",
        "status": "finished",
        "reason": "Finished",
        "message": "",
        "digest": a_fingerprint().digest,
        "at": NOW,
    }
    return NewestRun(**(values | changes))


def a_stack(stack: str | StackId = "root/network", **changes: Any) -> StackState:
    """Give a stack that is in Git and was never run; `desired=None` for a retained one."""
    identity = StackId.parse(stack) if isinstance(stack, str) else stack
    return StackState(identity, **({"desired": a_desired()} | changes))


def a_run(stack: str | StackId = "root/network", **changes: Any) -> Run:
    """Give a queued tracked run with a new id."""
    identity = StackId.parse(stack) if isinstance(stack, str) else stack
    created_at = changes.get("created_at", NOW)
    fingerprint = changes.get("fingerprint") or a_fingerprint()
    values: dict[str, Any] = {
        "id": a_run_id(created_at),
        "kind": RunKind.TRACKED,
        "status": RunStatus.QUEUED,
        "revision": REVISION,
        "digest": fingerprint.digest,
        "fingerprint": fingerprint,
        "created_at": created_at,
    }
    return Run(stack=identity, **(values | changes))


def later(seconds: float, than: datetime = NOW) -> datetime:
    """Give a time `seconds` after `than`."""
    return than + timedelta(seconds=seconds)


def record_results(
    transaction: Transaction,
    stack: StackId,
    resources: Sequence[Resource] | None,
    outputs: Sequence[Output],
    author: ResourceAuthor | None = None,
) -> None:
    """Record what there is of one stack."""
    transaction.record_results([StackResults(stack, resources, outputs, author)])
