"""Claims with 100,000 queued runs of 200 spaces, beside claims with 1,000."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from bench.harness import Figure, alternate, timed
from reconciler.core.identifiers import run_id
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.core.state import Component, Fingerprint
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from spaces.names import Revision, SpaceName, StackId

MANY, FEW, SPACES, PLACES, ROUNDS = 100_000, 1_000, 200, 4, 20
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure `Transaction.claim` of four places. Nine of ten runs belong to one space."""
    busy, calm = (_store(scratch / str(queued), queued) for queued in (MANY, FEW))
    ours, peer = alternate(ROUNDS, lambda: _claim(busy), lambda: _claim(calm))
    yield Figure("a claim with 100,000 queued runs", ours * 1e3, "ms", peer * 1e3, "with 1,000", 3)


def _claim(store: SqlStore) -> float:
    def claim() -> None:
        with store.writing() as transaction:
            taken = transaction.claim("bench", NOW, timedelta(minutes=1), PLACES)
        assert len({run.stack.space for run in taken}) == PLACES

    return timed(claim)


def _store(folder: Path, queued: int) -> SqlStore:
    folder.mkdir()
    store = open_store(f"sqlite:///{folder / 'station.db'}", Keys.load_or_create(folder / "key"))
    fingerprint = Fingerprint({Component.SPEC: {"tool": "1f"}})
    made = (
        Run(
            run_id(NOW, number.to_bytes(10)),
            StackId(SpaceName("busy" if number % 10 else f"s{number // 10 % SPACES}"), f"stack-{number}"),
            RunKind.TRACKED,
            RunStatus.QUEUED,
            Revision("a" * 40),
            fingerprint.digest,
            fingerprint,
            NOW,
        )
        for number in range(queued)
    )
    while part := list(islice(made, 5_000)):
        with store.writing() as transaction:
            transaction.add_runs(part)
    return store
