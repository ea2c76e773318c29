"""The issuer's keys: read from the store, made and removed when it is time.

Every service on a database shares the keys. Each looks at the store once a minute at most, so that to publish or to
sign costs no query.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta

from joserfc.jwk import KeyParameters, RSAKey

from reconciler.core.issuer_keys import IssuerKey, dead, next_beginning, signing_key
from reconciler.store.protocol import Store
from reconciler.store.stored import StoreError

_BITS = 2048
_LOOK_EVERY = timedelta(seconds=60)
_PARAMETERS: KeyParameters = {"use": "sig", "alg": "RS256"}


class Keyring:
    """The keys of one issuer. Any thread may call any method."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._keys: tuple[IssuerKey, ...] = ()
        self._looked_at: datetime | None = None
        self._private: tuple[str, RSAKey] | None = None

    def keys(self, now: datetime) -> tuple[IssuerKey, ...]:
        """Return the published keys, at least one; raise StoreError where the store cannot be used and none is known.

        A key that is due is made, and one whose last token is dead is removed.
        """
        with self._lock:
            self._look(now)
            return self._keys

    def is_fresh(self, now: datetime) -> bool:
        """Whether `keys` answers without the store."""
        looked_at = self._looked_at
        return looked_at is not None and abs(now - looked_at) < _LOOK_EVERY

    def signing(self, now: datetime) -> RSAKey:
        """Return the key that signs now, with its private half; StoreError where it does not open."""
        with self._lock:
            self._look(now)
            wanted = signing_key(self._keys, now)
            if self._private is None or self._private[0] != wanted.id:
                with self._store.reading() as reading:
                    private = reading.private_issuer_key(wanted.id)
                if private is None:
                    self._looked_at = None
                    raise StoreError(f"the key {wanted.id} of the issuer is gone from the database", "a key is gone")
                self._private = wanted.id, _import(private)
            return self._private[1]

    def replace(self, now: datetime) -> IssuerKey:
        """Replace all keys by a new one that signs from now on, and return it: nobody trusts the others any more."""
        fresh, key = _fresh(now)
        with self._lock:
            with self._store.writing() as transaction:
                transaction.configuration()
                transaction.remove_issuer_keys([each.id for each in transaction.issuer_keys()])
                transaction.add_issuer_key(key, fresh.as_der(private=True))
            self._keys, self._looked_at, self._private = (key,), now, None
        return key

    def _look(self, now: datetime) -> None:
        if self.is_fresh(now):
            return
        try:
            with self._store.reading() as reading:
                keys = reading.issuer_keys()
            if next_beginning(keys, now) is not None or dead(keys, now):
                keys = self._turn(now)
        except StoreError:
            if not self._keys:
                raise
            return
        self._keys, self._looked_at = tuple(keys), now

    def _turn(self, now: datetime) -> list[IssuerKey]:
        """Make and remove what is due, unless another service was first."""
        fresh, key = _fresh(now)
        with self._store.writing() as transaction:
            # Its row is the lock: of two services that find a key due, the second finds it made.
            transaction.configuration()
            keys = transaction.issuer_keys()
            begins_at = next_beginning(keys, now)
            if begins_at is not None:
                key = replace(key, begins_at=begins_at)
                transaction.add_issuer_key(key, fresh.as_der(private=True))
                keys.append(key)
            gone = {key.id for key in dead(keys, now)}
            if gone:
                transaction.remove_issuer_keys(gone)
        return [key for key in keys if key.id not in gone]


def _fresh(now: datetime) -> tuple[RSAKey, IssuerKey]:
    made = RSAKey.generate_key(_BITS, _PARAMETERS)
    key_id = made.thumbprint()
    return made, IssuerKey(key_id, now, {**made.as_dict(private=False), **_PARAMETERS, "kid": key_id})


def _import(private: bytes) -> RSAKey:
    key = RSAKey.import_key(private, _PARAMETERS)
    return RSAKey.import_key(private, {**_PARAMETERS, "kid": key.thumbprint()})
