"""Services that share a database share the issuer's keys, however they meet."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

from reconciler.core.issuer_keys import PUBLISHED_BEFORE, SIGNS_FOR
from reconciler.issuer.keyring import Keyring
from reconciler.store.sql import SqlStore
from tests.factories import NOW


def test_of_many_services_that_find_a_key_due_one_makes_it(store: SqlStore) -> None:
    services = 3
    for now in (NOW, NOW + SIGNS_FOR - PUBLISHED_BEFORE, NOW + 3 * SIGNS_FOR):
        barrier = Barrier(services)

        def look(keyring: Keyring, now=now, barrier=barrier) -> tuple[str, ...]:
            barrier.wait()
            return tuple(key.id for key in keyring.keys(now))

        with ThreadPoolExecutor(services) as pool:
            found = set(pool.map(look, [Keyring(store) for _ in range(services)]))
        assert len(found) == 1
        with store.reading() as reading:
            assert tuple(key.id for key in reading.issuer_keys()) == next(iter(found))
    later = Keyring(store).keys(NOW + 4 * SIGNS_FOR + timedelta(days=3))
    assert len(later) <= 2
