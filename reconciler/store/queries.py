"""What can be asked of what the service remembers: the half of the store's protocol that changes nothing.

`Store.reading` opens one; a transaction answers the same queries, and locks what it reads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Protocol

from rbac.admission.held import HeldChange
from rbac.admission.sources import Write
from reconciler.core.issuer_keys import IssuerKey
from reconciler.core.keeping import StackPin
from reconciler.core.orders import Order
from reconciler.core.results import Output, Planned, Resource
from reconciler.core.rollouts import Part, RolloutId, RolloutProgress
from reconciler.core.runs import Run, RunId, RunStatus
from reconciler.core.state import Desired, StackState
from reconciler.core.timers import Timer
from reconciler.core.verdicts import Judgement, Review
from reconciler.gauges import StackGauge
from reconciler.store.listed import ResourceBy, ResourceGroup
from reconciler.store.pools import Drained, PoolRuns
from reconciler.store.queue import ActiveCount
from reconciler.store.stored import (
    Announcement,
    ApiToken,
    AuditFilter,
    AuditRow,
    ConfigurationState,
    DeviceLogin,
    Lease,
    OutboxEntry,
    Place,
    PlacedResource,
    Provenance,
    ResourceFilter,
    RevisionProgress,
    RunFilter,
    ServiceSeen,
    Session,
    StackCounts,
    StackFilter,
    StoredApproval,
    TfstateLock,
    TfstateVersion,
)
from reconciler.store.todo import ToDo
from spaces.names import Revision, SpaceName, StackId


class Reading(Protocol):
    """Queries, all answered from one consistent snapshot."""

    def configuration(self) -> ConfigurationState:
        """Return how far the configuration was followed; generation 0 for a fresh store."""

    def stack(self, stack: StackId) -> StackState | None:
        """Return one stack; None if it does not exist."""

    def stacks(self, wanted: Collection[StackId] | None = None) -> dict[StackId, StackState]:
        """Return those of the stacks that exist; None: all stacks."""

    def desired(self) -> dict[StackId, Desired]:
        """Return the desired state of every stack in Git, and nothing else of them. Fast for many stacks too."""

    def list_stacks(self, wanted: StackFilter, after: str | None, limit: int) -> list[StackState]:
        """Return one page, by space and name, of the stacks after the stack `after` (`space/name`)."""

    def count_stacks(self) -> dict[tuple[SpaceName, str, str], StackCounts]:
        """Return how many stacks in Git there are by (space, tool, sync)."""

    def stack_gauges(self) -> list[StackGauge]:
        """Return what the metrics show of each stack in Git, in no order."""

    def to_do(self, now: datetime) -> ToDo:
        """Return what there is to do: for those who ask again and again, and nearly always find nothing."""

    def due_stacks(self, now: datetime, limit: int) -> list[StackState]:
        """Return the stacks with `due_at` <= now, the longest due first."""

    def due_timers(
        self, purposes: Collection[str], now: datetime, limit: int, without: Collection[str] = ()
    ) -> list[Timer]:
        """Return the timers for these purposes that are due, the longest due first.

        Also those that were set while the clock was ahead, as `Timer.is_due` tells. Those of stacks whose worker pool
        is in `without` are left out.
        """

    def timers(self, stack: StackId) -> list[Timer]:
        """Return the timers of a stack, the next one first."""

    def drained_pools(self) -> dict[str, Drained]:
        """Return the worker pools that are to start nothing."""

    def count_by_pool(self) -> dict[str, PoolRuns]:
        """Return how many runs are queued and at work, for each worker pool that has any."""

    def waiting_rollouts(self) -> list[RolloutId]:
        """Return the rollouts in which stacks wait for others."""

    def rollout_progress(self, rollout: RolloutId) -> RolloutProgress:
        """Return how many stacks of a rollout stand where, and what people accepted."""

    def in_rollout(self, rollout: RolloutId, parts: Collection[Part], limit: int, *, canaries: bool) -> list[StackId]:
        """Return stacks of a rollout that stand there, by name; `canaries`: those that go first, or the others."""

    def next_due(self) -> datetime | None:
        """Return when the next stack becomes due; None if none does."""

    def run(self, run: RunId) -> Run | None:
        """Return one run; None if it does not exist."""

    def standings(self, wanted: Collection[RunId]) -> dict[RunId, tuple[int, RunStatus]]:
        """Return the attempt and the status of those of some runs that exist, for frequent questions."""

    def list_runs(self, wanted: RunFilter, before: str | None, limit: int) -> list[Run]:
        """Return one page, newest first, of the runs older than the run `before`."""

    def ended_runs(self, before: datetime, after: str, limit: int) -> list[tuple[RunId, StackId]]:
        """Return one page, oldest first, of the runs that ended before a time and are newer than the run `after`."""

    def list_revisions(self, wanted: RunFilter, before: str | None, limit: int) -> list[RevisionProgress]:
        """Return one page, newest first, of the revisions whose newest run is older than the run `before`.

        Of `wanted`, the spaces and kinds count.
        """

    def active_runs(self, stacks: Collection[StackId] | None = None) -> list[Run]:
        """Return all runs that have not ended, oldest first."""

    def active_statuses(self) -> dict[RunId, tuple[str, str]]:
        """Return the stack, as `space/name`, and the status of each run that has not ended: for frequent questions."""

    def count_active(self) -> list[ActiveCount]:
        """Count the runs that have not ended."""

    def queue(self, spaces: Collection[SpaceName] | None, behind: str, limit: int) -> list[Run]:
        """Return one page of the runs at work and those that are queued, of some spaces (None: of all).

        They come in the order of `core.queue.place_of`, those behind a place: an empty text is before all.
        """

    def in_the_way(self, of: Collection[RunId]) -> dict[RunId, RunId]:
        """Return those of some queued runs that cannot start yet, each with the run of its stack that goes first."""

    def last_runs(self, stacks: Collection[StackId]) -> dict[StackId, Run]:
        """Return the newest run of each stack that has one."""

    def planned(self, run: RunId) -> Planned | None:
        """Return the result of the run's plan; None if it has none yet."""

    def plans(self, wanted: Collection[RunId]) -> dict[RunId, Planned]:
        """Return the results of the plans of those of some runs that have one."""

    def judgement(self, run: RunId) -> Judgement | None:
        """Return the last verdicts of the policies over a run; None if they were not asked yet."""

    def reviews(self, run: RunId) -> list[Review]:
        """Return the reviews of a run by time."""

    def resources(self, stack: StackId) -> list[Resource]:
        """Return the resources that the last successful run left behind."""

    def list_resources(self, wanted: ResourceFilter, after: Place | None, limit: int) -> list[PlacedResource]:
        """Return one page, by space, stack and position, of the resources after the place `after`."""

    def group_resources(
        self, wanted: ResourceFilter, by: ResourceBy, after: str | None, limit: int
    ) -> list[ResourceGroup]:
        """Return how many resources there are by space, stack, provider or type; those behind the group `after`."""

    def stacks_with(self, wanted: Collection[str], spaces: Collection[SpaceName] | None) -> dict[str, list[StackId]]:
        """Return which stacks of some spaces (None: all) have resources of these identities: the first 20 by name."""

    def runs_by_id(self, wanted: Collection[RunId]) -> dict[RunId, Run]:
        """Return those of the runs that are still known."""

    def count_resources(self) -> dict[StackId, int]:
        """Return the number of resources by stack."""

    def parents(self, wanted: Collection[StackId]) -> dict[StackId, tuple[StackId, ...]]:
        """Return the parents of these stacks and of all their ancestors; stacks without parents are left out."""

    def children(self, wanted: Collection[StackId]) -> dict[StackId, tuple[StackId, ...]]:
        """Return the stacks in Git that depend directly on these; stacks without children are left out."""

    def peek(self, wanted: Collection[StackId]) -> dict[StackId, StackState]:
        """Return those of the stacks that exist, as committed and without a lock."""

    def output_marks(self, wanted: Collection[StackId]) -> dict[StackId, dict[str, str]]:
        """Return a mark of each output of these stacks. It changes with the value, and does not reveal it."""

    def outputs(self, stack: StackId) -> list[Output]:
        """Return the outputs, sensitive ones decrypted."""

    def log(self, run: RunId) -> bytes | None:
        """Return the stored log of a run that has ended; None if it has none."""

    def tfstate(self, stack: StackId, version: int | None = None, unit: str = "") -> TfstateVersion | None:
        """Return one version of the tfstate (None: the newest of the unit); None if there is none."""

    def tfstate_versions(
        self, stack: StackId, before: int | None, limit: int, unit: str | None = None
    ) -> list[TfstateVersion]:
        """Return one page of the versions older than `before`, newest first, without their bodies.

        Without a `unit` those of all units are listed.
        """

    def tfstate_locks(self, stack: StackId) -> list[TfstateLock]:
        """Return the holders of the stack's tfstates, in the order of the units."""

    def tfstate_lock(self, stack: StackId, unit: str = "") -> TfstateLock | None:
        """Return the holder of the tfstate; None if it is not locked."""

    def token_stack(self, token_hash: str) -> tuple[StackId, str] | None:
        """Return the (stack, run) whose tfstate a run's token may access, while that run is active.

        A lapsed lease does not matter: an apply whose service died must still be able to write its tfstate.
        """

    def api_token(self, token_id: str) -> ApiToken | None:
        """Return one token of the API, even an expired one; None if there is none."""

    def api_tokens(self) -> list[ApiToken]:
        """Return all tokens of the API by id."""

    def session(self, session_id: str) -> Session | None:
        """Return one sign-in to the page, even an expired one; None if there is none."""

    def device_login(self, login_id: str) -> DeviceLogin | None:
        """Return the sign-in of a program, even an expired one; None if there is none."""

    def device_login_of(self, code: str) -> DeviceLogin | None:
        """Return the sign-in of a program by its code."""

    def held_changes(self) -> list[HeldChange]:
        """Return every change that waits for somebody with the right, by kind, space and name."""

    def held_since(self) -> datetime | None:
        """Return since when the change that is held longest is held; None if nothing is held."""

    def held_files(self) -> dict[str, tuple[bytes | None, list[dict[str, Any]]]]:
        """Return what is held of the configuration's files, by path: the file as it is in force, and the entries."""

    def unearned_writes(self) -> dict[str, Write]:
        """Return the files that somebody without the right has written, by path."""

    def approvals(self) -> list[StoredApproval]:
        """Return the approvals that admission has not looked at yet, oldest first."""

    def order(self, commit: Revision) -> Order | None:
        """Return what was ordered with a commit; None if the service did not make it."""

    def order_on(self, branch: str) -> Order | None:
        """Return what was ordered last on a branch."""

    def orders(
        self, spaces: Collection[SpaceName] | None, subject: str, before: Order | None, limit: int
    ) -> list[Order]:
        """Return orders for some spaces (None: all), and all of one subject's, the newest first, behind `before`."""

    def pins(self) -> dict[StackId, StackPin]:
        """Return the pins that somebody asked for and nobody ended."""

    def outbox(self, now: datetime, limit: int) -> list[OutboxEntry]:
        """Return notices that are due, oldest run first."""

    def issuer_keys(self) -> list[IssuerKey]:
        """Return the keys that sign run tokens, the one that signs first at the beginning."""

    def private_issuer_key(self, key: str) -> bytes | None:
        """Return the private half of such a key (PKCS #8, DER), decrypted; None if there is no such key."""

    def deliveries(self, now: datetime, limit: int) -> list[OutboxEntry]:
        """Return notices for receivers that are due, the longest due first."""

    def announcements(self, now: datetime, limit: int) -> list[Announcement]:
        """Return those that are due, the longest due first."""

    def lease(self, name: str) -> Lease | None:
        """Return the lease of this name, even one that has ended; None if nobody ever took it."""

    def services(self) -> list[ServiceSeen]:
        """Return the services that were seen within a day, by their names."""

    def oldest_schema(self) -> str:
        """Return the oldest schema that a program may know to use the database as it is now."""

    def clock(self, now: datetime) -> datetime:
        """Return the time of the database's own clock, which all services share; `now` where it has none."""

    def provenance(self, stack: StackId, address: str) -> Provenance | None:
        """Return which runs made a resource and changed it last; None: the stack has no such resource."""

    def newest_audit(self, wanted: AuditFilter, limit: int) -> list[AuditRow]:
        """Return the newest rows of the audit that are wanted, the newest first."""

    def audit_head(self) -> tuple[int, str]:
        """Return the number and the hash of the newest row of the audit; 0 and nothing if there is none."""

    def audit(self, after: int, limit: int, wanted: AuditFilter | None = None) -> list[AuditRow]:
        """Return one page of the audit log, oldest first, of the rows after number `after`."""

    def audit_length(self) -> int:
        """Return the number of the newest row of the audit; 0 if there is none."""

    def audit_fault(self, kept: Mapping[int, str] = ...) -> str | None:
        """Check the whole chain; return the problem of the first row that was changed, removed or inserted."""
