"""The tfstates that the service keeps, for people on call: read a version, write one, go back, release a lock.

The API calls these once it knows that the caller may ask. Each is one transaction with its row in the audit. Nothing is
ever overwritten: whatever is written becomes the next version.
"""

from __future__ import annotations

import json
from datetime import datetime

from reconciler.core.runs import RunId
from reconciler.refusals import OperationRefused, Refusal
from reconciler.runs.audit import Asked, Audited, about_request
from reconciler.store.protocol import Store, Transaction
from reconciler.store.stored import LARGEST_SERIAL, TfstateLock, TfstateVersion
from spaces.names import StackId


def read(  # noqa: PLR0917
    store: Store, stack: StackId, version: int, person: str, now: datetime, because: str = ""
) -> TfstateVersion:
    """Return a version of a stack's tfstate, and note in the audit who read it."""
    with store.writing() as transaction:
        found = _version(transaction, stack, version)
        asked = Asked(person, because)
        row = about_request(Audited.TFSTATE_READ, asked, now, stack=str(stack), version=found.version)
        transaction.append_audit([row])
        return found


def write(  # noqa: PLR0917
    store: Store,
    stack: StackId,
    body: bytes,
    note: str,
    person: str,
    now: datetime,
    because: str,
    *,
    force: bool,
    unit: str = "",
) -> TfstateVersion:
    """Store a tfstate as the next version.

    Refused while a run may write it or somebody holds its lock, and, unless `force`, for one of another lineage or
    with a serial that is not higher than that of the newest version.
    """
    content = _content(body)
    with store.writing() as transaction:
        _free(transaction, stack)
        # Without its content: where the key to that is lost, a copy from elsewhere is all that helps.
        for newest in transaction.tfstate_versions(stack, None, 1, unit) if not force else ():
            _follows(newest, content)
        return _add(transaction, stack, unit, body, note, Asked(person, because), now)


def roll_back(  # noqa: PLR0917
    store: Store, stack: StackId, version: int, note: str, person: str, now: datetime, because: str
) -> TfstateVersion:
    """Store an earlier version once more as the newest one, with a serial above all others."""
    with store.writing() as transaction:
        _free(transaction, stack)
        old = _version(transaction, stack, version)
        (newest,) = transaction.tfstate_versions(stack, None, 1, old.unit)
        body = old.body
        if newest.serial is not None and old.serial is not None:
            content = json.loads(old.body) | {"serial": newest.serial + 1}
            body = json.dumps(content, indent=2).encode()
        note = note or f"back to version {version}"
        return _add(transaction, stack, old.unit, body, note, Asked(person, because), now)


def unlock(  # noqa: PLR0917
    store: Store, stack: StackId, person: str, now: datetime, because: str = "", unit: str = ""
) -> TfstateLock:
    """Release the lock of a stack's tfstate, and return it; refused while the run that holds it is active."""
    with store.writing() as transaction:
        lock = transaction.tfstate_lock(stack, unit)
        if lock is None:
            raise OperationRefused(Refusal.NOT_FOUND, f"there is no lock on the tfstate of {_named(stack, unit)}")
        run = transaction.run(RunId(lock.run)) if lock.run is not None else None
        if run is not None and run.is_active:
            raise OperationRefused(
                Refusal.STILL_ACTIVE, f"run {run.id} holds the lock and is {run.status}: cancel it, or wait for its end"
            )
        transaction.unlock_tfstate(stack, lock.lock_id, unit)
        about = {"stack": str(stack), "lock": lock.lock_id, "run": lock.run, **_about(unit)}
        transaction.append_audit([about_request(Audited.TFSTATE_UNLOCKED, Asked(person, because), now, **about)])
        return lock


def _version(transaction: Transaction, stack: StackId, version: int) -> TfstateVersion:
    found = transaction.tfstate(stack, version)
    if found is None:
        raise OperationRefused(Refusal.NOT_FOUND, f"there is no version {version} of the tfstate of {stack} here")
    return found


def _free(transaction: Transaction, stack: StackId) -> None:
    if transaction.stack(stack) is None:
        raise OperationRefused(Refusal.NOT_FOUND, f"there is no stack {stack}")
    for run in transaction.active_runs([stack]):
        raise OperationRefused(Refusal.ALREADY_RUNNING, f"{stack} has run {run.id}, which is {run.status}")
    for lock in transaction.tfstate_locks(stack):
        who = lock.info.get("Who") or "somebody"
        raise OperationRefused(
            Refusal.TFSTATE_LOCKED,
            f"the tfstate of {_named(stack, lock.unit)} is locked by {who} since {lock.since:%Y-%m-%d %H:%M} UTC",
        )


def _named(stack: StackId, unit: str) -> str:
    return f"{stack}, unit {unit}" if unit else str(stack)


def _about(unit: str) -> dict[str, str]:
    return {"unit": unit} if unit else {}


def _content(body: bytes) -> dict[str, object]:
    try:
        content = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise OperationRefused(Refusal.TFSTATE_UNFIT, "this is no tfstate: it is not a JSON object")
    serial = content.get("serial")
    if isinstance(serial, int) and not 0 <= serial <= LARGEST_SERIAL:
        raise OperationRefused(
            Refusal.TFSTATE_UNFIT, f"this is no tfstate: its serial is not between 0 and {LARGEST_SERIAL}"
        )
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _follows(newest: TfstateVersion, content: dict[str, object]) -> None:
    lineage, serial = content.get("lineage"), content.get("serial")
    if lineage != newest.lineage:
        raise OperationRefused(
            Refusal.TFSTATE_UNFIT,
            f"the tfstate has the lineage {lineage!r}, and version {newest.version} has {newest.lineage!r}: "
            "it belongs to something else (force it if you are sure)",
        )
    if newest.serial is not None and not (isinstance(serial, int) and serial > newest.serial):
        raise OperationRefused(
            Refusal.TFSTATE_UNFIT,
            f"the tfstate has the serial {serial!r}, which is not above {newest.serial}, that of version "
            f"{newest.version}: somebody wrote since (force it if you are sure)",
        )


def _add(  # noqa: PLR0917
    transaction: Transaction, stack: StackId, unit: str, body: bytes, note: str, asked: Asked, now: datetime
) -> TfstateVersion:
    made = transaction.add_tfstate(stack, body, None, now, asked.person, note or None, unit)
    about = {"stack": str(stack), "version": made.version, "serial": made.serial, "note": note, **_about(unit)}
    transaction.append_audit([about_request(Audited.TFSTATE_WRITTEN, asked, now, **about)])
    return made
