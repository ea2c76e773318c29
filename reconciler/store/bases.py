"""What all parts of a `Reading` or a `Transaction` share: the connection, locks, the keys of stacks, and sealing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Select

from reconciler.core.runs import RunId
from reconciler.store import statements
from reconciler.store.encryption import Keys
from reconciler.store.selecting import bind_stacks, locked
from reconciler.store.tables import sealing_keys, stacks
from reconciler.store.texts import pack
from spaces.names import SpaceName, StackId


class ReadingBase:
    """The base of all parts of a `Reading`."""

    _locks = False
    """Whether rows are locked when they are read. A snapshot needs no locks."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        """Ask on this connection, inside a transaction that its maker ends."""
        self._connection = connection
        self._keys = keys
        self._dialect = connection.dialect.name

    def _locked(self, query: Select[Any], of: Any = None) -> Select[Any]:
        """Return the query; in a transaction that writes, others cannot change its rows until the end."""
        return locked(query, of) if self._locks else query

    def _key(self, stack: StackId) -> int | None:
        key: int | None = self._connection.execute(statements.STACK_KEY, statements.bind_stack(stack)).scalar()
        return key

    def _find_keys(self, wanted: Collection[StackId]) -> dict[StackId, int]:
        result = self._connection.execute(statements.keys_of_stacks(self._dialect), bind_stacks(self._dialect, wanted))
        return {StackId(SpaceName(space), name): key for key, space, name in result}


class WritingBase(ReadingBase):
    """The base of all parts of a `Transaction`."""

    _locks = True
    _key_noted = False
    """Whether the database already lists the key that seals."""

    def _insert(self, table: Any) -> Any:
        return statements.insert(self._dialect, table)

    def _keys_of(self, wanted: Collection[StackId]) -> dict[StackId, int]:
        """Return the keys of stacks. A stack that is unknown so far gets a row with only its name."""
        keys = self._find_keys(wanted)
        missing = sorted(set(wanted) - keys.keys())
        if missing:
            names = [{"space": stack.space, "name": stack.name} for stack in missing]
            self._connection.execute(self._insert(stacks).on_conflict_do_nothing(), names)
            keys |= self._find_keys(missing)
        return keys

    def _key_for(self, stack: StackId) -> int:
        return self._key(stack) or self._keys_of([stack])[stack]

    def _seal(self, plain: bytes, table: str, key: int, name: str) -> bytes:
        if not self._key_noted:
            values = {"id": self._keys.current}
            self._connection.execute(self._insert(sealing_keys).on_conflict_do_nothing(), values)
            self._key_noted = True
        return self._keys.seal(plain, table, key, name)

    def _replace(self, table: Any, bodies: Mapping[RunId, bytes]) -> None:
        """Put the bodies of runs, compressed, into a table that has one for each."""
        values = [{"run_id": run, "body": pack(body)} for run, body in sorted(bodies.items())]
        if values:
            self._connection.execute(statements.replace_of_run(self._dialect, table), values)
