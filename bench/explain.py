"""Explaining a stack of which 100,000 runs are kept, against one with a hundred; and the check of the whole audit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.harness import Figure, Limit, alternate, timed
from reconciler.core.identifiers import run_id
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.core.state import Component, Fingerprint
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import AuditEvent
from reconciler.web.api.explain import explained
from spaces.names import Revision, SpaceName, StackId

MANY, FEW, ROUNDS, BATCH = 100_000, 100, 20, 5_000
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STACK = StackId(SpaceName("shop"), "web")


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure the answer about now, and about the middle of all runs."""
    many, few = (_store(scratch / str(runs), runs) for runs in (MANY, FEW))
    for words, part in (("now", 1.0), ("at a time", 0.5)):
        ours, peer = alternate(ROUNDS, lambda p=part: _explain(many, MANY, p), lambda p=part: _explain(few, FEW, p))
        yield Figure(f"explain {words}, 100,000 runs", ours * 1e3, "ms", peer * 1e3, "with 100", 3)
        yield Figure(f"explain {words}", ours * 1e3, "ms", None, "100,000 runs, 300,000 rows", 100, Limit.AT_MOST)


def _explain(store: SqlStore, runs: int, part: float) -> float:
    at = NOW + timedelta(seconds=runs * part + 30)

    def ask() -> None:
        with store.reading() as reading:
            run, rows = explained(reading, STACK, at)
        assert run is not None
        assert len(rows) == 3

    return timed(ask)


def _store(folder: Path, runs: int) -> SqlStore:
    folder.mkdir()
    store = open_store(f"sqlite:///{folder / 'station.db'}", Keys.load_or_create(folder / "key"))
    fingerprint = Fingerprint({Component.SPEC: {"tool": "1f"}})
    for start in range(0, runs, BATCH):
        numbers = range(start, min(start + BATCH, runs))
        made = [_run(number, fingerprint) for number in numbers]
        with store.writing() as transaction:
            transaction.add_runs(made)
            transaction.append_audit(event for run in made for event in _events(run))
    return store


def _run(number: int, fingerprint: Fingerprint) -> Run:
    at = NOW + timedelta(seconds=number)
    return Run(
        run_id(at, number.to_bytes(10)),
        STACK,
        RunKind.TRACKED,
        RunStatus.FINISHED,
        Revision(f"{number:040x}"),
        fingerprint.digest,
        fingerprint,
        at,
        finished_at=at + timedelta(milliseconds=500),
    )


def _events(run: Run) -> Iterator[AuditEvent]:
    about = {"run": run.id, "stack": str(run.stack), "digest": run.digest}
    yield AuditEvent("admitted", run.created_at, "user:ada", {"revision": run.revision, "changes": []})
    yield AuditEvent("run-queued", run.created_at, "user:ada", about)
    yield AuditEvent("apply-ended", run.created_at, "user:ada", {**about, "status": "finished", "reason": "Applied"})
