"""What is known of an apply that was interrupted: its plan, the tfstate, and the lock. A person decides by it."""

from __future__ import annotations

from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import StackState
from reconciler.store.queries import Reading
from reconciler.store.stored import RunFilter, TfstateLock, TfstateVersion
from reconciler.web.api.auth import Caller, Right
from reconciler.web.api.schemas.shapes import ChangeCountsJson
from reconciler.web.api.schemas.stacks import InterruptedJson
from reconciler.web.api.schemas.tfstates import TfstateJson, TfstateLockJson, TfstateVersionJson


def interrupted_json(reading: Reading, caller: Caller, stack: StackState) -> InterruptedJson | None:
    """Return what is known of the apply by which a stack is stalled; None where it is not, or runs are not for them."""
    if not stack.interrupted or not caller.allows(Right.RUN_READ, stack.id.space):
        return None
    runs = reading.list_runs(RunFilter(stack.id, statuses={RunStatus.INTERRUPTED}), None, 1)
    if not runs:
        return None
    run = runs[0]
    versions, locks = reading.tfstate_versions(stack.id, None, 1), reading.tfstate_locks(stack.id)
    newest, lock = versions[0] if versions else None, locks[0] if locks else None
    return InterruptedJson(
        run=run.id,
        at=run.finished_at,
        planned=ChangeCountsJson.model_validate(run.changes),
        tfstate=tfstate_json(newest, lock),
        said=_sentences(run, newest, lock),
    )


def tfstate_json(newest: TfstateVersion | None, lock: TfstateLock | None) -> TfstateJson:
    """Return the newest version of a tfstate and its lock."""
    return TfstateJson(
        newest=TfstateVersionJson.model_validate(newest) if newest is not None else None,
        lock=lock_json(lock) if lock is not None else None,
    )


def lock_json(lock: TfstateLock) -> TfstateLockJson:
    """Return the lock of a tfstate, as the tool has told of it."""
    who, operation = lock.info.get("Who"), lock.info.get("Operation")
    return TfstateLockJson(
        id=lock.lock_id,
        unit=lock.unit,
        who=who if isinstance(who, str) else None,
        operation=operation if isinstance(operation, str) else None,
        run=lock.run,
        since=lock.since,
    )


def _sentences(run: Run, newest: TfstateVersion | None, lock: TfstateLock | None) -> list[str]:
    counts = [f"{count} to {what}" for what, count in run.changes.named().items() if count and what != "outputs"]
    return [
        f"it was to apply a plan with {', '.join(counts)}"
        if counts
        else "it was to apply a plan that names no resource",
        _about_tfstate(run, newest),
        _about_lock(run, lock),
    ]


def _about_tfstate(run: Run, newest: TfstateVersion | None) -> str:
    if newest is None:
        return "the service keeps no tfstate of the stack"
    if newest.run == run.id:
        of = f" of the unit {newest.unit}" if newest.unit else ""
        return f"it still wrote version {newest.version} of the tfstate{of} (serial {newest.serial})"
    return f"it wrote no tfstate: the newest is version {newest.version}, from before it"


def _about_lock(run: Run, lock: TfstateLock | None) -> str:
    if lock is None:
        return "nobody holds the lock of the tfstate"
    whose = "it still holds" if lock.run == run.id else f"run {lock.run} holds" if lock.run else "somebody holds"
    of, option = (f" of the unit {lock.unit}", f" --unit {lock.unit}") if lock.unit else ("", "")
    return (
        f"{whose} the lock of the tfstate{of}, since {lock.since:%Y-%m-%d %H:%M} UTC; "
        f"station tfstate unlock{option} ends it"
    )
