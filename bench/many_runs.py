"""1,000 script stacks from nothing to Synced, with the real loop and real processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Figure, Limit, timed
from bench.installations import installation
from bench.repositories import build
from reconciler.core.state import Sync
from reconciler.settings import Settings

STACKS = 1000


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure `station reconcile` on a new data directory with the default parallelism."""
    parallelism = Settings.model_fields["parallelism"].default
    repository = build(scratch / "config.git", STACKS)
    with installation(repository.url, scratch / "data", parallelism) as service:
        seconds = timed(service.service.loop.reconcile)
        with service.service.store.reading() as reading:
            synced = sum(state.sync is Sync.SYNCED for state in reading.stacks().values())
    if synced != STACKS:
        raise AssertionError(f"{synced} of {STACKS} stacks became Synced")
    against = f"parallelism {parallelism} (the default), {os.cpu_count()} processors"
    yield Figure("1,000 script stacks to Synced", STACKS / seconds, "/s", None, against, 25, Limit.AT_LEAST)
