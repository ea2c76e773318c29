"""How far a database has come, noted beside it: one that comes back older was restored from a backup.

What was applied since the backup is in the world, and neither in the database nor in the tfstates that it keeps. To
apply again what Git says would make things a second time, so that every stack is suspended until somebody has looked.
There are two notes: one in the data directory tells of a database that was restored alone, and one outside of it of a
data directory that was restored whole.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from reconciler import locks
from reconciler.git.trees import Trees
from reconciler.store.protocol import Store
from reconciler.store.queries import Reading
from reconciler.store.stored import AuditEvent, StoreError
from spaces.names import Revision

_log = logging.getLogger(__name__)

_WHO = "the service"
_LENGTH = 512
"""All notes are as long, so that a shorter one leaves nothing of the one before."""

NOT_KNOWN = Revision("-")
"""In place of the last revision that was in force before a restore, where nobody knows it: what is fetched first."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a database was. The row is the newest one of its audit, whose hash covers all before it."""

    generation: int
    revision: str = NOT_KNOWN
    row: int = 0
    hash: str = ""
    database: str | None = None

    @classmethod
    def of(cls, reading: Reading) -> Seen:
        """Return how far a database is."""
        state, (row, newest) = reading.configuration(), reading.audit_head()
        return cls(state.generation, state.admitted_revision or NOT_KNOWN, row, newest, state.database)

    def is_ahead(self, reading: Reading) -> bool:
        """Whether this was seen of a database that is not that far any more, or went another way since then."""
        if self.generation > reading.configuration().generation:
            return True
        there = reading.audit(self.row - 1, 1) if self.row else []
        return bool(self.row) and (not there or there[0].hash != self.hash)


@dataclass(slots=True)
class Noting:
    """Notes how far the database is, whenever it has moved on."""

    store: Store
    files: tuple[Path, ...]
    _noted: tuple[int, int] | None = None

    def step(self, generation: int, row: int) -> None:
        """Write the notes if the audit has a new row, its newest being `row`, or the loop is at a new generation."""
        now = generation, row
        if now == self._noted:
            return
        with self.store.reading() as reading:
            seen = Seen.of(reading)
        for file in self.files:
            _write(file, seen, known=self._noted is not None)
        self._noted = now


def suspend_if_restored(store: Store, files: tuple[Path, ...], now: datetime) -> bool:
    """Suspend all stacks if the database is older than a note of it. Returns whether it is.

    Those that only a later revision brings are suspended when they come, up to the last one that was seen. StoreError
    where a new database is in the place of another one that was used.
    """
    found = [(file, seen) for file in files if (seen := _read(file)) is not None]
    with store.reading() as reading:
        state = reading.configuration()
        other = next((file for file, seen in found if seen.database not in (None, state.database)), None)
        ahead = [(file, seen) for file, seen in found if seen.database in (None, state.database)]
        ahead = [(file, seen) for file, seen in ahead if seen.is_ahead(reading)]
    if other is not None and state.admitted_revision is None:
        raise StoreError(
            f"the database is empty, and {other} says that another one was used here: starting would apply everything "
            f"as new. Restore the data directory, or remove {other} to begin from nothing on purpose"
        )
    if not ahead:
        return False
    file, seen = max(ahead, key=lambda each: (each[1].generation, each[1].row))
    _log.warning("%s says that the database was at generation %d", file, seen.generation)
    suspend_restored(store, Revision(seen.revision), now, f"a note has seen it at generation {seen.generation}")
    return True


def suspend_restored(store: Store, revision: Revision, now: datetime, why: str) -> None:
    """Suspend all stacks of a database that was restored, and those that come up to a revision."""
    with store.reading() as reading:
        state = reading.configuration()
        stacks = [stack for stack, each in reading.stacks().items() if each.desired is not None and not each.paused]
    for stack in stacks:
        locks.suspend(store, stack, _WHO, now, "the database was restored from a backup")
    with store.writing() as transaction:
        transaction.put_configuration(replace(transaction.configuration(), restored=revision))
        details = {"generation": state.generation, "why": why, "revision": revision, "stacks": len(stacks)}
        transaction.append_audit([AuditEvent("database-restored", now, None, details)])
    _log.error(
        "the database is at generation %d and was restored from a backup (%s): it does not know what was applied "
        "since. All stacks are suspended. Compare what is there with the tfstates, then resume them: "
        "station stack resume STACK",
        state.generation,
        why,
    )


def _write(file: Path, seen: Seen, *, known: bool) -> None:
    # In its place and in one piece: another file in its place would not be hidden from the runs that are at work.
    text = json.dumps(asdict(seen)).ljust(_LENGTH - 1) + "\n"
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, text.encode("ascii"))
            os.truncate(handle, len(text))
        finally:
            os.close(handle)
    except OSError as error:
        # The disk may be full, or the place read-only: the note is only behind then. Once is enough to say so.
        level = logging.DEBUG if known else logging.WARNING
        _log.log(level, "%s cannot be written, so that a restored backup may not be noticed: %s", file, error.strerror)


def _read(file: Path) -> Seen | None:
    try:
        text = file.read_text(encoding="ascii").strip()
        if not text.startswith("{"):
            # Earlier versions noted the generation and the revision alone.
            generation, _, revision = text.partition(" ")
            return Seen(int(generation), revision)
        return Seen(**json.loads(text))
    except (OSError, ValueError, TypeError):
        return None


def still_restored(trees: Trees, seen: Revision | None, revision: Revision) -> Revision | None:
    """Return the revision up to which what comes was applied before a restore.

    None: it is reached, or the branch has gone another way and never will reach it.
    """
    if seen is None or seen in {NOT_KNOWN, revision} or not trees.has(seen):
        return None
    return seen if trees.is_ancestor(revision, seen) else None
