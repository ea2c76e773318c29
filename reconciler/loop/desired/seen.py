"""How far a data directory has seen its database: one that comes back older was restored from a backup.

What was applied since the backup is in the world, and neither in the database nor in the tfstates that it keeps. To
apply again what Git says would make things a second time, so that every stack is suspended until somebody has looked.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reconciler import locks
from reconciler.store.protocol import Store
from reconciler.store.stored import AuditEvent
from spaces.names import Revision

_log = logging.getLogger(__name__)

_FILE = "generation"
_WHO = "the service"


def note(directory: Path, generation: int, revision: Revision | None) -> None:
    """Note in the data directory the generation that the database is at, and its revision."""
    file = directory / _FILE
    try:
        fresh = file.with_suffix(".new")
        fresh.write_text(f"{generation} {revision or '-'}\n", encoding="ascii")
        os.replace(fresh, file)  # noqa: PTH105
    except OSError as error:
        # The disk may be full: the note is only behind then.
        _log.warning("%s cannot be written: %s", file, error.strerror)


def suspend_if_restored(store: Store, directory: Path, now: datetime) -> bool:
    """Suspend all stacks if the database is older than this data directory has seen. Returns whether it is.

    Those that only a later revision brings are suspended when they come, up to the last one that was seen.
    """
    seen = _read(directory)
    with store.reading() as reading:
        state = reading.configuration()
        stacks = [stack for stack, each in reading.stacks().items() if each.desired is not None and not each.paused]
    if seen is None or seen[0] <= state.generation:
        return False
    message = (
        f"the database is at generation {state.generation}, and this data directory has seen {seen[0]}: it was "
        "restored from a backup, and does not know what was applied since. All stacks are suspended. Compare what is "
        "there with the tfstates, then resume them: station stack resume STACK"
    )
    for stack in stacks:
        locks.suspend(store, stack, _WHO, now, "the database was restored from a backup")
    with store.writing() as transaction:
        transaction.put_configuration(replace(transaction.configuration(), restored=seen[1]))
        details = {"generation": state.generation, "seen": seen[0], "revision": seen[1], "stacks": len(stacks)}
        transaction.append_audit([AuditEvent("database-restored", now, None, details)])
    note(directory, state.generation, state.admitted_revision)
    _log.error("%s", message)
    return True


def _read(directory: Path) -> tuple[int, Revision] | None:
    try:
        generation, _, revision = (directory / _FILE).read_text(encoding="ascii").strip().partition(" ")
        return int(generation), Revision(revision)
    except (OSError, ValueError):
        return None
