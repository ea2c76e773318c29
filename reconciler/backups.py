"""Backups of the database, their way back, and the move to another database.

`station backup`, `restore` and `migrate` call this. A backup is one SQLite file with all rows, whatever the database
is, so that either kind can be restored from it. It does not contain the keys: one is useless without the other, and
they are kept apart.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.data_directory import alone_on, make_data_dir, open_keys
from reconciler.git.remote import redact
from reconciler.loop.desired.seen import NOT_KNOWN, suspend_restored
from reconciler.settings import Settings
from reconciler.store.connections import parse_url
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import ConfigurationState, StoreError
from reconciler.tokens import revoke_tokens

_log = logging.getLogger(__name__)

_BESIDE = ("-wal", "-shm", "-journal", ".lock")
"""What SQLite, and the schema's migration, put beside a file."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied: the numbers of rows by table, and how far the configuration was followed."""

    rows: Mapping[str, int]
    state: ConfigurationState


def back_up(settings: Settings, file: Path) -> Copied:
    """Write everything that the database holds now into a new file. The service may be at work meanwhile."""
    if file.exists():
        raise StoreError(f"{file} is there already: name another file, or remove it")
    if not file.parent.is_dir():
        raise StoreError(f"{file} cannot be written: there is no directory {file.parent}")
    unfinished = file.with_name(f"{file.name}.unfinished")
    _remove(unfinished)
    keys = open_keys(settings)
    try:
        with (
            closing(open_store(settings.database, keys, migrating=False)) as source,
            closing(open_store(f"sqlite:///{unfinished.absolute()}", keys)) as target,
        ):
            copied = _copy(source, target)
        _sync(unfinished)
        unfinished.rename(file)
    finally:
        _remove(unfinished)
    return copied


def restore(settings: Settings, file: Path, now: datetime, *, keep_tokens: bool) -> Copied:
    """Bring a backup into the database of the settings, which must be empty. The service must not run."""
    if not file.is_file():
        raise StoreError(f"there is no file {file}")
    directory = make_data_dir(settings)
    with alone_on(directory), _scratch(directory / "restoring.db") as scratch:
        # A copy: an earlier version's is migrated first, and the backup stays as it is.
        shutil.copyfile(file, scratch)
        scratch.chmod(0o600)
        keys = open_keys(settings)
        with closing(open_store(f"sqlite:///{scratch}", keys)) as source:
            if source.is_empty():
                raise StoreError(f"{file} is not a backup of a Stationkeeper database")
            with closing(open_store(settings.database, keys)) as target:
                copied = _copy(source, target)
                _make_safe(target, now, f"from {file.name}", keep_tokens=keep_tokens)
    return copied


def mark_restored(settings: Settings, now: datetime, *, keep_tokens: bool) -> None:
    """Treat the database as one that was restored by other means, such as a snapshot of the machine."""
    with alone_on(make_data_dir(settings)), closing(open_store(settings.database, open_keys(settings))) as store:
        if store.is_empty():
            raise StoreError(f"{redact(settings.database)} is empty: nothing was restored there")
        _make_safe(store, now, "said by the operator", keep_tokens=keep_tokens)


def migrate(settings: Settings, url: str) -> Copied:
    """Move everything from the database of the settings to another, empty one. The service must not run.

    A SQLite file is renamed afterwards, so that nobody goes on with it by mistake.
    """
    source_url, target_url = parse_url(settings.database), parse_url(url)
    if source_url == target_url:
        raise StoreError("that is the database already in use: name another one")
    directory = make_data_dir(settings)
    with alone_on(directory):
        keys = open_keys(settings)
        with closing(open_store(settings.database, keys, migrating=False)) as source:
            if source.is_empty():
                raise StoreError(f"{redact(settings.database)} is empty: there is nothing to move")
            with closing(open_store(url, keys)) as target:
                copied = _copy(source, target)
        if source_url.drivername == "sqlite":
            old = Path(source_url.database or "")
            old.rename(old.with_name(f"{old.name}.migrated"))
    return copied


def _copy(source: SqlStore, target: SqlStore) -> Copied:
    rows = source.copy_to(target)
    with target.reading() as reading:
        return Copied(rows, reading.configuration())


def _make_safe(store: SqlStore, now: datetime, why: str, *, keep_tokens: bool) -> None:
    """Take back what may have been taken back since the backup, and let nothing run until somebody has looked."""
    with store.writing() as transaction:
        # What was to be told was told, as far as anybody knows, and some sign-ins and tokens may have ended.
        transaction.forget_passing()
        if not keep_tokens:
            revoke_tokens(transaction, transaction.api_tokens())
    suspend_restored(store, NOT_KNOWN, now, why)


@contextmanager
def _scratch(file: Path) -> Iterator[Path]:
    _remove(file)
    try:
        yield file
    finally:
        _remove(file)


def _remove(file: Path) -> None:
    for name in ("", *_BESIDE):
        with suppress(FileNotFoundError):
            file.with_name(file.name + name).unlink()


def _sync(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
