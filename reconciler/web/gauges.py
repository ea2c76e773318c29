"""Reads the gauges from the store, in one of the services that share it.

If each of them showed the stacks, a sum over all services would count every stack twice. So one of them does, the one
that holds the lease: whoever is scraped first takes it, and keeps it as long as it is scraped.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from rbac.access.actions import ACTIONS
from rbac.admission.admit import HaltReason
from reconciler.core.reasons import Reason
from reconciler.core.runs import ACTIVE, RunKind, RunStatus
from reconciler.core.state import ConditionType
from reconciler.core.verdicts import RESULTS
from reconciler.gauges import Gauges
from reconciler.git.errors import GitReason
from reconciler.repeating import Repeating
from reconciler.rollouts import under_way
from reconciler.store.protocol import Store
from reconciler.store.queries import Reading
from reconciler.store.stored import ConfigurationState, RunFilter, StoreError
from reconciler.web.ports import Ports
from spaces.effective.pools import pools as pools_of
from spaces.model.pool import DEFAULT_POOL
from spaces.names import Kind

LEASE = timedelta(minutes=3)
"""After this time without a scrape another service shows the gauges."""

_NAME = "gauges"
_MOST_WAITING = 10_000
_HALTS = (*HaltReason, *GitReason, Reason.CONFIG_PATH_NOT_FOUND, Reason.HISTORY_REWRITTEN)

_log = logging.getLogger(__name__)
_failures = Repeating()


def expose(ports: Ports) -> None:
    """Show the gauges among the metrics of a service, and count what can happen there from 0."""
    ports.metrics.expect_decisions(sorted(map(str, ACTIONS)))
    ports.metrics.expect_verdicts({kind: (*map(str, results), "error") for kind, results in RESULTS.items()})
    ports.metrics.show(
        lambda: read_gauges(ports.store, ports.holder, ports.now(), pools_of(ports.documents())),
        lambda: [(stack.ref.space, stack.ref.name) for stack in ports.documents().of_kind(Kind.STACK)],
    )


def read_gauges(store: Store, holder: str, now: datetime, pools: Iterable[str] = ()) -> Gauges | None:
    """Read the gauges; None where another service shows them, or while the store cannot be used.

    Each of the `pools` has a value, and so has every other worker pool in which runs are queued.
    """
    try:
        if not _shows(store, holder, now):
            return None
        with store.reading() as reading:
            return _gauges(reading, pools)
    except StoreError as error:
        if _failures.is_due(str(error)):
            _log.warning("cannot read the gauges: %s", error)
        return None


def _shows(store: Store, holder: str, now: datetime) -> bool:
    """Whether this service shows the gauges: it holds the lease, or can take it."""
    with store.reading() as reading:
        lease = reading.lease(_NAME)
    if lease is not None and lease.until > now and (lease.holder != holder or lease.until > now + LEASE / 2):
        return lease.holder == holder
    try:
        with store.writing() as transaction:
            return transaction.take_lease(_NAME, holder, now, LEASE)
    except StoreError:
        # Nobody else can take it either, and on a full disk the gauges are wanted most.
        return lease is None or lease.holder == holder


def _gauges(reading: Reading, pools: Iterable[str]) -> Gauges:
    configuration = reading.configuration()
    active = reading.count_active()
    kinds, depths = Counter[tuple[str, str]](), Counter[str]()
    for each in active:
        kinds[each.kind, each.status] += each.runs
        depths[each.pool] += each.runs * (each.status == RunStatus.QUEUED)
    nobody = {(str(kind), str(status)): 0 for kind in RunKind for status in RunStatus if status in ACTIVE}
    return Gauges(
        branch=configuration.branch,
        revision=configuration.admitted_revision,
        documents=configuration.documents,
        diagnostics=Counter(str(diagnostic.get("severity")) for diagnostic in configuration.diagnostics),
        halted=_halted(configuration),
        held=Counter((str(held.ref.space), held.kind) for held in reading.held_changes()),
        held_since=reading.held_since(),
        stacks=tuple(reading.stack_gauges()),
        runs_active=nobody | kinds,
        waiting_since=_waiting(reading),
        paused=_paused(reading),
        queue_depth=dict.fromkeys((DEFAULT_POOL, *pools), 0) | +depths,
    )


def _paused(reading: Reading) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for each in under_way(reading):
        counts[each.id.space] += each.paused is not None
    return dict(counts)


def _halted(configuration: ConfigurationState) -> dict[str, bool]:
    halted = dict.fromkeys(map(str, _HALTS), False)
    if configuration.halted is not None:
        halted[configuration.halted.reason] = True
    return halted


def _waiting(reading: Reading) -> dict[tuple[str, str], datetime]:
    """Find since when runs wait for an approval or a confirmation: the condition of their stack says so."""
    unconfirmed = reading.list_runs(RunFilter(statuses={RunStatus.UNCONFIRMED}), None, _MOST_WAITING)
    waiting = [run for run in unconfirmed if run.confirmed_by is None and not run.frozen]
    stacks = reading.peek({run.stack for run in waiting}) if waiting else {}
    since: dict[tuple[str, str], datetime] = {}
    for run in waiting:
        state = stacks.get(run.stack)
        condition = state.conditions.get(ConditionType.RECONCILING) if state is not None else None
        said = condition is not None and condition.reason in {
            Reason.WAITS_FOR_APPROVAL,
            Reason.WAITS_FOR_CONFIRMATION,
        }
        since[run.stack.space, run.stack.name] = condition.since if condition is not None and said else run.created_at
    return since
