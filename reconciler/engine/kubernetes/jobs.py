"""Carries the legs of pools on Kubernetes to their cluster: a Job for each, and what becomes of it.

A thread of its own looks at the legs that the engine of workers offers, and makes a Job for those of such pools, with
the token that opens the leg. The pod then does what any worker does: takes the leg up once, beats, and tells its end.
Here is only what the cluster alone knows: why a pod does not begin, that it ended without a word, and which Jobs nobody
needs any more. After a restart, Jobs are known by their labels; a leg that no pod had taken up never begins.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.engine.ends import LegId
from reconciler.engine.handout import Handout
from reconciler.engine.kubernetes.cluster import Cluster, Json, NotAllowed, Unreachable
from reconciler.engine.kubernetes.pods import (
    ATTEMPT,
    HOLDER,
    LEG,
    RUN,
    LegPod,
    holder_label,
    job_of,
    name_of,
    secret_of,
)
from reconciler.engine.kubernetes.reasons import failure_of, is_finished, why_ended, why_not_begun
from reconciler.engine.pull import PullEngine
from spaces.model.kubernetes_pool import KubernetesPool

_log = logging.getLogger(__name__)

_NOTICE = 0.2
"""The seconds until a new leg is seen."""
_LOOK = 1.0
"""The seconds between two looks at a cluster while a pod has yet to begin."""
_CALM = 5.0
"""And while all of them are at work."""
_IDLE = 60.0
"""And where there is nothing to do."""
_LATE = 15.0
"""For so many seconds a pod that ended may still be heard, and a Job whose leg is over may end by itself."""

Place = tuple[str | None, str]
"""A cluster, and a namespace of it."""


@dataclass(slots=True)
class JobCarrier:
    """Carries legs, until its service ends."""

    pull: PullEngine
    pools: Callable[[], Mapping[str, KubernetesPool]]
    """Returns the pools on Kubernetes that are in force."""
    config: Path | None
    url: str | None
    """Where pods reach this service."""
    holder: str
    note: Callable[[LegId, str], None]
    """Tells people what a leg waits for; empty: for nothing any more."""
    ready: Callable[[], bool]
    """Whether the legs that an earlier process left are known."""
    connect: Callable[[Path | None, str | None], Cluster] = Cluster
    _carried: dict[LegId, KubernetesPool] = field(default_factory=dict)
    """The legs with a Job that this process made, as their pools were then."""
    _said: dict[LegId, str] = field(default_factory=dict)
    """What was told last about why a leg has not begun."""
    _deleted: set[LegId] = field(default_factory=set)
    """The canceled legs whose Jobs were deleted."""
    _clusters: dict[str | None, Cluster] = field(default_factory=dict)
    _late: dict[str, float] = field(default_factory=dict)
    """Since when a Job has had no leg, or a leg no pod, by name."""
    _looked: dict[Place, float] = field(default_factory=dict)
    _trouble: dict[Place, str] = field(default_factory=dict)
    """What was logged last of a place."""
    _closing: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def carrying(self) -> Iterator[None]:
        """Carry legs, in a thread, until the end of the block. Pods go on after that."""
        thread = threading.Thread(target=self._keep_looking, name="kubernetes", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._closing.set()
            thread.join(5)
            for cluster in self._clusters.values():
                cluster.close()

    def _keep_looking(self) -> None:
        pause = _NOTICE
        while not self._closing.wait(pause):
            try:
                pause = _NOTICE if self.pools() or self._carried else _CALM
                if self.ready():
                    self.step(time.monotonic())
            except Exception:  # noqa: BLE001 - it is logged
                # Whatever it was, the other pools' legs must go on; those of this one have their leases.
                _log.exception("the Jobs of Kubernetes could not be looked after")
                pause = _CALM

    def step(self, now: float) -> None:
        """Look once at every cluster where there is something to do."""
        pools, legs = self.pools(), self.pull.legs()
        places: dict[Place, list[tuple[Handout, KubernetesPool]]] = {
            (pool.cluster, pool.namespace): [] for pool in pools.values()
        }
        for leg in legs:
            pool = self._carried.get(leg.which) or pools.get(leg.offer.pool)
            if pool is not None:
                places.setdefault((pool.cluster, pool.namespace), []).append((leg, pool))
        known = {leg.which for leg in legs}
        self._carried = {which: pool for which, pool in self._carried.items() if which in known}
        self._said = {which: said for which, said in self._said.items() if which in known}
        self._deleted &= known
        for place, theirs in places.items():
            pause = _LOOK if place in self._trouble else self._pause(theirs)
            if now - self._looked.get(place, float("-inf")) >= pause:
                self._looked[place] = now
                self._look(place, theirs, now)

    def _pause(self, legs: Iterable[tuple[Handout, KubernetesPool]]) -> float:
        """Return how long to leave a place alone."""
        pause = _CALM if self._late else _IDLE
        for leg, _pool in legs:
            fresh = leg.worker is None and leg.which not in self._carried and leg.which not in self._said
            if fresh or (leg.canceled and leg.which not in self._deleted):
                return 0.0
            pause = min(pause, _LOOK if leg.worker is None else _CALM)
        return pause

    def _look(self, place: Place, legs: list[tuple[Handout, KubernetesPool]], now: float) -> None:
        context, namespace = place
        try:
            cluster = self._cluster(context)
            selector = f"{HOLDER}={holder_label(self.holder)}"
            jobs = {job["metadata"]["name"]: job for job in cluster.jobs(namespace, selector)}
            pods = _by_leg(cluster.pods(namespace, selector)) if jobs or legs else {}
            for leg, pool in legs:
                name = name_of(leg.which)
                self._follow(cluster, leg, pool, jobs.get(name), pods.get(name, []), now)
            self._tidy(cluster, namespace, jobs, {name_of(leg.which) for leg, _ in legs}, now)
            self._trouble.pop(place, None)
        except Unreachable as error:
            dropped = self._clusters.pop(context, None)
            if dropped is not None:
                dropped.close()
            self._hold_up(place, legs, str(error), now)
        except NotAllowed as error:
            self._hold_up(place, legs, f"the cluster refuses what the service needs: {error}", now)

    def _hold_up(self, place: Place, legs: list[tuple[Handout, KubernetesPool]], why: str, now: float) -> None:
        """Say in the log and in the runs what keeps all legs of a place from beginning."""
        if self._trouble.get(place) != why:
            self._trouble[place] = why
            _log.warning("runs in the namespace %s: %s", place[1], why)
        for leg, pool in legs:
            if leg.worker is None:
                self._wait(leg, pool, why, now)

    def _follow(  # noqa: PLR0917
        self, cluster: Cluster, leg: Handout, pool: KubernetesPool, job: Json | None, pods: list[Json], now: float
    ) -> None:
        if leg.worker is not None:
            self._watch(cluster, leg, pool, pods, now)
        elif leg.canceled:
            return
        elif leg.which not in self._carried:
            self._make(cluster, leg, pool, now)
        elif job is None:
            self.pull.give_up(leg.which, "its Job was deleted before it began")
        else:
            events = [] if pods else cluster.events(pool.namespace, name_of(leg.which))
            why = why_not_begun(job, pods, events)
            if failure_of(job):
                self.pull.give_up(leg.which, why or failure_of(job))
            else:
                self._wait(leg, pool, why, now)

    def _make(self, cluster: Cluster, leg: Handout, pool: KubernetesPool, now: float) -> None:
        if self.url is None or leg.facts is None:
            self.pull.give_up(leg.which, "the setting worker_url does not say where pods reach the service")
            return
        facts = leg.facts
        pod = LegPod(leg.which, facts.stack, leg.needs[0], self.url, self.holder, facts.timeout, leg.offer.grace)
        try:
            job = cluster.make_job(pool.namespace, job_of(pod, pool))
            token = self.pull.hand_over(leg.which)
            if token is not None:
                cluster.put_secret(pool.namespace, secret_of(pod, token, job["metadata"]["uid"]))
        except NotAllowed as refused:
            why = f"the cluster refuses its Job: {refused}"
            if refused.hopeless:
                self.pull.give_up(leg.which, why)
            else:
                self._wait(leg, pool, why, now)
            return
        self._carried[leg.which] = pool

    def _wait(self, leg: Handout, pool: KubernetesPool, why: str, now: float) -> None:
        """Say why a leg has not begun, and give it up where that has taken too long."""
        if now - leg.since > pool.start_seconds:
            why = why or "its pod has not begun"
            self.pull.give_up(leg.which, f"{why} (for {pool.start_seconds} s)")
            return
        self._say(leg.which, why)

    def _watch(self, cluster: Cluster, leg: Handout, pool: KubernetesPool, pods: list[Json], now: float) -> None:
        """Look after a leg that a pod has taken up."""
        name = name_of(leg.which)
        self._say(leg.which, "")
        if leg.canceled and leg.which not in self._deleted:
            # So that its tool is stopped at once, rather than with the next beat.
            cluster.delete_job(pool.namespace, name)
            self._deleted.add(leg.which)
        ended = why_ended(pods)
        if ended is None:
            self._late.pop(name, None)
        elif now - self._late.setdefault(name, now) > _LATE:
            self.pull.give_up(leg.which, ended)

    def _say(self, which: LegId, why: str) -> None:
        if why != self._said.get(which, ""):
            self.note(which, why)
            self._said[which] = why

    def _tidy(self, cluster: Cluster, namespace: str, jobs: Mapping[str, Json], wanted: set[str], now: float) -> None:
        """Delete the Jobs whose legs are over, and which do not end by themselves."""
        for name, job in jobs.items():
            if name in wanted or is_finished(job) or job["metadata"].get("deletionTimestamp"):
                if name not in wanted:
                    self._late.pop(name, None)
            elif now - self._late.setdefault(name, now) > _LATE:
                _log.info("deleting the Job %s: its leg is over", name)
                cluster.delete_job(namespace, name)
        for name in [name for name in self._late if name not in jobs and name not in wanted]:
            del self._late[name]

    def _cluster(self, context: str | None) -> Cluster:
        if context not in self._clusters:
            self._clusters[context] = self.connect(self.config, context)
        return self._clusters[context]


def _by_leg(pods: Iterable[Json]) -> dict[str, list[Json]]:
    """Return the pods by the names of their Jobs, those that are there the longest first."""
    found: dict[str, list[Json]] = {}
    for pod in pods:
        labels = pod["metadata"].get("labels", {})
        name = f"station-{labels.get(RUN)}-{labels.get(ATTEMPT)}-{labels.get(LEG)}"
        found.setdefault(name, []).append(pod)
    return found
