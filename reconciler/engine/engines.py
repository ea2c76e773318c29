"""Several engines as one: the one of this machine, and the one of workers elsewhere.

The loop knows only this one. Which of the two starts a leg, the dispatcher says; everything else goes by the run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from reconciler.core.phases import Leg
from reconciler.engine.base import Job, LegReport, Materialise
from reconciler.engine.ends import LegId
from reconciler.engine.local import LocalEngine
from reconciler.engine.pull import PullEngine


class Engines:
    """The `Engine` that passes everything on to the one that has the run."""

    def __init__(self, local: LocalEngine, pull: PullEngine) -> None:
        self._local = local
        self._pull = pull

    def start(self, job: Job, materialise: Materialise | None) -> None:
        self._local.start(job, materialise)

    def proceed(self, run: str, job: Job) -> bool:
        return self._local.proceed(run, job)

    def tokens(self, run: str) -> Mapping[str, str]:
        return self._pull.tokens(run) if run in self._pull.active() else self._local.tokens(run)

    def renew(self, run: str, name: str, old: str, new: str) -> None:
        if run in self._pull.active():
            self._pull.renew(run, name, old, new)
        else:
            self._local.renew(run, name, old, new)

    def dismiss(self, run: str) -> None:
        self._local.dismiss(run)

    def cancel(self, run: str) -> None:
        if run in self._pull.active():
            self._pull.cancel(run)
        else:
            self._local.cancel(run)

    def adopt(self, runs: Mapping[str, tuple[int, Leg]]) -> Collection[str]:
        legs = {run: LegId(run, attempt, leg) for run, (attempt, leg) in runs.items()}
        offered = {run: which for run, which in legs.items() if self._pull.offered(which)}
        here = {run: leg for run, leg in runs.items() if run not in offered}
        return [*self._pull.adopt(offered), *self._local.adopt(here)]

    def reports(self, timeout: float) -> list[LegReport]:
        ended = self._pull.reports()
        return [*ended, *self._local.reports(0.0 if ended else timeout)]

    def active(self) -> Collection[str]:
        return {*self._local.active(), *self._pull.active()}

    def log_path(self, run: str) -> Path:
        return self._local.log_path(run)

    def kept(self) -> Collection[str]:
        elsewhere = set(self._pull.active())
        return [run for run in self._local.kept() if run not in elsewhere]

    def free(self, run: str) -> None:
        if run not in self._pull.active():
            self._local.free(run)

    def discard(self, run: str) -> None:
        self._pull.forget(run)
        self._local.discard(run)

    def wake(self) -> None:
        self._local.wake()

    def close(self) -> None:
        self._local.close()
