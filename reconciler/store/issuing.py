"""The keys of the issuer of run tokens, with their private halves encrypted."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, insert, select

from reconciler.core.issuer_keys import IssuerKey
from reconciler.store import rows
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.tables import issuer_keys
from reconciler.store.texts import dump, load

_TABLE = "issuer_keys"


class IssuingReading(ReadingBase):
    """The questions about the issuer's keys, for a `Reading`."""

    def issuer_keys(self) -> list[IssuerKey]:
        """Return the keys, those that sign first at the beginning."""
        query = select(issuer_keys.c.id, issuer_keys.c.begins_at, issuer_keys.c.public)
        found = self._connection.execute(query.order_by(issuer_keys.c.begins_at, issuer_keys.c.id))
        times = ((row, rows.from_micros(row.begins_at)) for row in found)
        return [IssuerKey(row.id, begins_at, load(row.public)) for row, begins_at in times if begins_at is not None]

    def private_issuer_key(self, key: str) -> bytes | None:
        """Return the private half of a key (PKCS #8, DER); None if there is none."""
        sealed = self._connection.execute(select(issuer_keys.c.sealed).where(issuer_keys.c.id == key)).scalar()
        return None if sealed is None else self._keys.open(sealed, _TABLE, 0, key)


class IssuingWriting(IssuingReading, WritingBase):
    """The changes of the issuer's keys, for a `Transaction`."""

    def add_issuer_key(self, key: IssuerKey, private: bytes) -> None:
        """Store a key; its private half (PKCS #8, DER) is encrypted."""
        values = {"id": key.id, "begins_at": rows.micros(key.begins_at), "public": dump(dict(key.public))}
        self._connection.execute(insert(issuer_keys), {**values, "sealed": self._seal(private, _TABLE, 0, key.id)})

    def remove_issuer_keys(self, keys: Collection[str]) -> None:
        """Remove keys whose last token is dead."""
        for key in sorted(keys):
            self._connection.execute(delete(issuer_keys).where(issuer_keys.c.id == key))
