"""A data directory and its database know each other, so that nobody starts with one of them alone by mistake.

A service that is given an empty database beside a data directory that was in use would take every stack for new, and
apply everything once more. `bootstrap` calls this when it opens a service, and starts nothing after a refusal.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

from reconciler.store.protocol import Store
from reconciler.store.stored import StoreError

_FILE = "database.id"
_EMBEDDED = "station.db"


def check_belonging(store: Store, directory: Path, shown: str) -> None:
    """Note the database's id in the data directory; StoreError where that one belongs to another database.

    `shown` names the database without its password.
    """
    found = _database_id(store)
    file = directory / _FILE
    known = file.read_text(encoding="ascii").strip() if file.exists() else None
    if known is None and _is_new(store) and _was_used(directory, shown):
        known = "another"
    if known not in (None, found):
        raise StoreError(
            f"the data directory {directory} was used with another database than {shown}, and starting with this one "
            "would apply everything as new: set database_url back, bring the contents of the other database here, or "
            "take a new data directory (data_dir) to begin from nothing on purpose"
        )
    if known is None:
        file.write_text(f"{found}\n", encoding="ascii")


def _database_id(store: Store) -> str:
    with store.reading() as reading:
        found = reading.configuration().database
    if found is not None:
        return found
    with store.writing() as transaction:
        # Another service may have been faster.
        state = transaction.configuration()
        if state.database is None:
            state = replace(state, database=secrets.token_hex(16))
            transaction.put_configuration(state)
    assert state.database is not None  # noqa: S101 - written just now
    return state.database


def _is_new(store: Store) -> bool:
    with store.reading() as reading:
        return reading.configuration().admitted_revision is None


def _was_used(directory: Path, shown: str) -> bool:
    """Whether a service of a version that kept no id has worked here with the embedded database, which is not this."""
    return (directory / _EMBEDDED).exists() and not shown.startswith("sqlite:") and (directory / "mirrors").exists()
