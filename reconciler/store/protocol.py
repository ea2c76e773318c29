"""What the service remembers, as small steps inside transactions, the same on every database.

The loop, the operations and the API depend on these protocols and on `queries`, never on a database. They open
`Store.reading` for a consistent snapshot, or `Store.writing` for a transaction in which everything happens or nothing.
Methods take and return the records of `reconciler.core` and of `stored`; a row or a cursor never gets out. The store
decides who runs what: `claim` gives a run to one holder, and every write of a run is fenced by its attempt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol

from rbac.admission.held import HeldChange
from rbac.admission.sources import Write
from reconciler.core.issuer_keys import IssuerKey
from reconciler.core.keeping import StackPin
from reconciler.core.orders import Order
from reconciler.core.queue import PoolLimits
from reconciler.core.results import Planned
from reconciler.core.rollouts import Accepted, RolloutId
from reconciler.core.runs import Run, RunId
from reconciler.core.state import StackState
from reconciler.core.timers import Timer
from reconciler.core.verdicts import Judgement, Review
from reconciler.store.pools import Drained
from reconciler.store.queries import Reading
from reconciler.store.results import StackResults
from reconciler.store.stored import (
    Announcement,
    ApiToken,
    AuditEvent,
    ConfigurationState,
    DeviceLogin,
    KeptAnswer,
    OutboxEntry,
    Session,
    StoredApproval,
    TfstateLock,
    TfstateVersion,
)
from spaces.names import Revision, StackId


class Transaction(Reading, Protocol):
    """Queries that lock what they read, and changes that happen together or not at all."""

    def put_configuration(self, state: ConfigurationState) -> None:
        """Write the configuration's state."""

    def put_stacks(self, stacks: Iterable[StackState]) -> None:
        """Insert or replace stacks, in bulk."""

    def put_dependencies(self, parents: Mapping[StackId, Collection[StackId]]) -> None:
        """Set the parents of these stacks, in place of those that they had."""

    def wake_parents(self, wanted: Collection[StackId], now: datetime) -> None:
        """Let the stacks right above these, which may wait for them to go, be looked at now instead of later."""

    def wake_dependents(self, wanted: Collection[StackId], now: datetime) -> None:
        """Make the stacks below these, at any distance, due now if out of sync, drifted, or with an active run."""

    def move_stack(self, old: StackId, new: StackId) -> None:
        """Rename a stack with everything that belongs to it: runs, resources, outputs, tfstate, locks, tokens.

        Do nothing if there is no `old`; raise ValueError if `new` exists. A name that only plans of branches have
        used is free.
        """

    def forget_stack(self, stack: StackId, name: str) -> None:
        """Remember no more of a stack than its history, under another name, so that a new one of its name starts anew.

        Its runs with their logs, and the versions of its tfstate, stay with that name.
        """

    def add_runs(self, runs: Sequence[Run]) -> list[RunId]:
        """Insert runs, except those whose stack already has an active writing run; return the inserted ids."""

    def put_runs(self, runs: Sequence[Run]) -> None:
        """Replace runs as `put_run` does; raise LostLease if one of them cannot be."""

    def put_run(self, run: Run) -> None:
        """Replace a run; raise LostLease if the stored attempt is another one, or has ended with another status.

        The stored run keeps its stack, which may have moved since `run` was read.
        """

    def note_run(self, run: RunId, attempt: int, message: str) -> None:
        """Let people read what a run at work waits for; nothing where that attempt is not at work any more."""

    def claim(
        self, holder: str, now: datetime, lease: timedelta, limit: int, pools: Mapping[str, PoolLimits] = ...
    ) -> list[Run]:
        """Claim up to `limit` queued runs for `holder`: planning, attempt + 1, leased. No run twice.

        Which come first, `core.queue` says. No more runs of the `pools` are at work than their limits allow, whoever
        holds them; other pools have none. `limit` counts only runs of pools without `places` of their own.
        This is the step `RunEvent.CLAIM`; the caller follows with `RunEvent.PREPARE`. `started_at` is set too.
        Runs to be canceled are left alone, and runs whose stack has another writing run at work.
        """

    def renew(self, holder: str, now: datetime, lease: timedelta) -> None:
        """Extend the leases of all runs at work that `holder` holds."""

    def try_writing(self) -> None:
        """Write something that leaves nothing behind: it fails where the database takes no writes."""

    def record_plans(self, plans: Mapping[RunId, Planned]) -> None:
        """Store the results of plans."""

    def record_judgement(self, run: RunId, judgement: Judgement) -> None:
        """Store the verdicts of the policies over a run, in place of earlier ones."""

    def put_review(self, run: RunId, review: Review) -> None:
        """Store a person's review of a run, in place of an earlier one."""

    def record_results(self, results: Sequence[StackResults]) -> None:
        """Replace the resources and outputs of stacks, each named once. Sensitive values are encrypted."""

    def record_logs(self, logs: Mapping[RunId, bytes]) -> None:
        """Store the logs of runs that have ended, compressed."""

    def add_tfstate(  # noqa: PLR0917
        self,
        stack: StackId,
        body: bytes,
        run: str | None,
        now: datetime,
        person: str | None = None,
        note: str | None = None,
        unit: str = "",
    ) -> TfstateVersion:
        """Store the next version, encrypted. Serial and lineage are read from the body."""

    def lock_tfstate(self, lock: TfstateLock) -> TfstateLock | None:
        """Take the lock and return None; return the present holder instead if its id is another one."""

    def unlock_tfstate(self, stack: StackId, lock_id: str | None, unit: str = "") -> bool:
        """Release the lock with this id (None: any lock); return False if another id holds it."""

    def put_tokens(self, tokens: Mapping[str, tuple[StackId, RunId]]) -> None:
        """Let tokens, given as their hashes, access the tfstate of their stack while their run is active."""

    def add_api_token(self, token: ApiToken) -> None:
        """Store a token of the API."""

    def remove_api_token(self, token_id: str) -> bool:
        """Revoke a token of the API; return False if there is none."""

    def use_api_token(self, token_id: str, at: datetime) -> None:
        """Note when a token of the API was used."""

    def add_device_login(self, login: DeviceLogin, most: int) -> bool:
        """Store the sign-in of a program, and forget expired ones; return False where so many wait already."""

    def confirm_device_login(self, login: DeviceLogin) -> bool:
        """Store who said yes to the sign-in of a program; return False if somebody has, or it is gone."""

    def remove_device_login(self, login_id: str) -> None:
        """Forget the sign-in of a program."""

    def add_session(self, session: Session) -> None:
        """Store a sign-in to the page, and forget those that had expired by then."""

    def remove_session(self, session_id: str) -> None:
        """End a sign-in to the page, if there is one."""

    def forget_runs(self, wanted: Collection[RunId]) -> None:
        """Forget runs that have ended: their logs, plans, verdicts, reviews, and notices that were not sent."""

    def forget_tfstates(self, keep: int) -> int:
        """Forget all versions of each tfstate, of each unit, but the newest `keep`; return how many there were."""

    def forget_passing(self) -> None:
        """End all sign-ins, and forget what was still to be told: of a database that was restored."""

    def put_held_changes(self, held: Iterable[HeldChange], now: datetime) -> None:
        """Let these, and no others, be what is held: since `now`, those that were not held before."""

    def put_held_files(self, changed: Mapping[str, tuple[bytes | None, list[dict[str, Any]]] | None]) -> None:
        """Write what is held of some files; None for a file of which nothing is held any more."""

    def put_unearned_writes(self, changed: Mapping[str, Write | None]) -> None:
        """Write who has written some files without the right; None for a file that is in order."""

    def add_approval(self, approval: StoredApproval) -> None:
        """Note an approval for admission to look at; a later one of the same change takes its place."""

    def put_pin(self, stack: StackId, pin: StackPin) -> None:
        """Set the pin of a stack, in place of the one that it has."""

    def remove_pin(self, stack: StackId, pin: StackPin) -> bool:
        """Remove exactly this pin of a stack; False where it has another one by now, or none."""

    def remove_approvals(self, held: Collection[str]) -> None:
        """Forget approvals, by the held changes' ids: admission has looked at them."""

    def one_at_a_time(self, rollout: RolloutId) -> None:
        """Let no other transaction decide about a rollout until the end of this one."""

    def wake(self, wanted: Collection[StackId], now: datetime) -> None:
        """Make these stacks due now."""

    def accept(self, rollout: RolloutId, accepted: Accepted) -> None:
        """Note what people accept of a rollout, in place of what was noted before."""

    def put_pools(self, pools: Mapping[StackId, str]) -> None:
        """Let the queued runs of these stacks be runs of these worker pools."""

    def drain_pool(self, pool: str, by: Drained) -> bool:
        """Stop a worker pool from starting runs; False: somebody has drained it already."""

    def resume_pool(self, pool: str) -> bool:
        """Let a worker pool start runs again; False: nobody had drained it."""

    def put_timers(self, wanted: Iterable[Timer]) -> None:
        """Set timers, in place of those for the same purpose and item. One with the same schedule stays as it is."""

    def remove_timers(self, wanted: Collection[StackId], purpose: str, item: str = "") -> None:
        """Remove the timers of these stacks for a purpose and item."""

    def take_timer(self, timer: Timer, again: Timer) -> bool:
        """Set a timer to its next time; False where another service has taken it, or it is another one now."""

    def add_to_outbox(self, changed: Sequence[Run], now: datetime) -> None:
        """Add a notice about each run as it is now. A run brings one notice for a status, and no second one."""

    def add_deliveries(self, entry: OutboxEntry, receivers: Collection[str], now: datetime) -> None:
        """Add a copy of a notice for each receiver, which is `space/name`; none that is there already."""

    def claim_outbox(self, wanted: Sequence[OutboxEntry], now: datetime, lease: timedelta) -> list[OutboxEntry]:
        """Take these notices, as far as they are still due; nobody else can take them until the lease ends."""

    def remove_from_outbox(self, done: Sequence[OutboxEntry]) -> set[str]:
        """Remove notices; returns the ids of those removed. One that another attempt has taken since stays."""

    def postpone_outbox(self, entry: OutboxEntry, until: datetime) -> None:
        """Let a notice be due again later, unless another attempt has taken it since."""

    def begin_answer(self, key: str, request: str, now: datetime) -> KeptAnswer | None:
        """Note that a request is being answered, and forget what is too old.

        Return what is known of an earlier request with this key; None if the caller is the one to answer. `key` and
        `request` are digests: of who asks and the key, and of what is asked.
        """

    def end_answer(self, key: str, status: int, body: bytes) -> None:
        """Keep the answer to a request."""

    def forget_answer(self, key: str) -> None:
        """Forget a request that was not answered: it may be sent again."""

    def put_order(self, order: Order) -> None:
        """Note an order, in place of what was noted of its commit."""

    def link_order(self, commit: Revision, link: str) -> None:
        """Note where a merge request for an order is opened."""

    def remove_order(self, commit: Revision) -> None:
        """Forget an order whose commit nobody got."""

    def remove_orders_of(self, subjects: Collection[str]) -> None:
        """Forget the orders of those who left: they count as nobody's from now on."""

    def add_issuer_key(self, key: IssuerKey, private: bytes) -> None:
        """Store a key that signs run tokens; its private half (PKCS #8, DER) is encrypted."""

    def remove_issuer_keys(self, keys: Collection[str]) -> None:
        """Remove such keys by their ids."""

    def add_announcements(self, told: Sequence[Announcement]) -> None:
        """Add announcements, due at once; none that is there already."""

    def claim_announcements(
        self, wanted: Sequence[Announcement], now: datetime, lease: timedelta
    ) -> list[Announcement]:
        """Take these, as far as they are still due; nobody else can take them until the lease ends."""

    def remove_announcement(self, done: Announcement) -> bool:
        """Remove one, unless another attempt has taken it since."""

    def postpone_announcement(self, one: Announcement, until: datetime) -> None:
        """Let one be due again later, unless another attempt has taken it since."""

    def take_lease(self, name: str, holder: str, now: datetime, length: timedelta) -> bool:
        """Take or extend a lease; return False if somebody else holds it."""

    def holds_lease(self, name: str, holder: str) -> bool:
        """Whether nobody else had a lease since this holder took it; nobody takes it before the transaction ends."""

    def end_lease(self, name: str, holder: str) -> None:
        """Give a lease up, if it is still held: anybody can take it. Until somebody does, this holder had it last."""

    def put_service(self, holder: str, host: str, version: str, now: datetime) -> None:
        """Note that a service is there, and forget those that were not heard of for a day."""

    def ask_to_look(self, holder: str, now: datetime) -> None:
        """Note that a service was asked to look at the repositories, for the one that does."""

    def remove_service(self, holder: str) -> None:
        """Note that a service is gone."""

    def append_audit(self, events: Iterable[AuditEvent]) -> None:
        """Append rows to the audit log. Call it as the last step of a transaction: it makes others wait."""


class Store(Protocol):
    """The access to the database. Every method raises StoreError if the database cannot be used."""

    def reading(self) -> AbstractContextManager[Reading]:
        """Open a read-only snapshot."""

    def glance(self) -> AbstractContextManager[Reading]:
        """Open no snapshot, for a single question: of several, each may see another moment."""

    def writing(self) -> AbstractContextManager[Transaction]:
        """Open a transaction: committed at the end of the block, rolled back by any exception."""

    def carry_key(self, run: RunId) -> str:
        """Return the key, in hex (32 bytes), for what a run's plan leg leaves to its apply leg on the disk."""

    def signing_seeds(self) -> tuple[bytes, ...]:
        """Return what the service's own signing keys are made of (32 bytes each): the first signs, each verifies."""

    def close(self) -> None:
        """Close all connections."""
