"""Gives the Jobs of Kubernetes what they need of the service: pools, its address, and a place for reasons."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.core.runs import RunId
from reconciler.engine.ends import LegId
from reconciler.engine.kubernetes.jobs import JobCarrier
from reconciler.loop.runs.dispatch import Dispatcher
from reconciler.loop.runs.pools import pools_on_kubernetes


def job_carrier(dispatcher: Dispatcher, ready: Callable[[], bool]) -> JobCarrier:
    """Return who carries the legs of pools on Kubernetes; `ready`: whether the runs at work are known."""
    settings = dispatcher.settings

    def note(which: LegId, message: str) -> None:
        with dispatcher.store.writing() as transaction:
            transaction.note_run(RunId(which.run), which.attempt, message)

    return JobCarrier(
        dispatcher.pull,
        lambda: pools_on_kubernetes(dispatcher.follower.world),
        settings.kubernetes_config,
        settings.worker_url or settings.public_url,
        dispatcher.holder,
        note,
        ready,
    )
