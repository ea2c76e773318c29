"""Notifiers: sends each notice that is for one, beside the loop, again and again until it is taken or given up.

A notice for a notifier is a row of the outbox, written by the transaction that first takes the notice about the run. A
service that stops while it sends leaves the row, which is due again when its lease ends: a receiver may hear of an
event twice, with the same delivery id, and never not at all. While a receiver is away, everything else for it waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_network

from reconciler.core.conditions import retry_delay
from reconciler.core.runs import Run
from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.secrets import SecretSources
from reconciler.loop.desired.world import World
from reconciler.loop.policies.inquiries import Inquiries
from reconciler.metrics import Metrics
from reconciler.notifying.addresses import Network
from reconciler.notifying.messages import as_json, as_slack, delivery_id, event_of
from reconciler.notifying.sending import Failed, Parcel, send, signed
from reconciler.runs.audit import about_delivery
from reconciler.settings import Settings
from reconciler.store.protocol import OutboxEntry, Reading, Store
from spaces.documents.documents import Placed
from spaces.effective.notifiers import notifiers
from spaces.model.notifier import NotifierEvent, NotifierSpec, NotifierType
from spaces.model.sealed import SealedPlace
from spaces.model.secrets import SecretRef

_log = logging.getLogger(__name__)

AT_ONCE = 4
"""How many notices are sent at the same time."""

LEASE = timedelta(minutes=2)
"""How long a service may take to send a notice."""

ATTEMPTS = 8
"""How often a notice is sent before it is given up. The last attempts are minutes apart."""

LONGEST = timedelta(days=1)
"""After how long a notice is given up, however seldom it was tried."""

_BATCH = 100


def hearing(world: World, entry: OutboxEntry) -> dict[str, Placed]:
    """Return the notifiers that hear of a notice, by `space/name`."""
    event = event_of(entry.run)
    if world.in_force is None or event is None:
        return {}
    found = notifiers(world.in_force.documents, entry.run.stack.space, event)
    return {f"{placed.ref.space}/{placed.ref.name}": placed for placed in found}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery: why it failed, or None if the receiver took it."""

    failed: Failed | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice for one notifier, gathered whole, so that any thread may send it."""

    placed: Placed
    spec: NotifierSpec
    event: NotifierEvent
    entry: OutboxEntry
    page: str | None
    secrets: SecretSources
    networks: Sequence[Network]
    now: datetime

    def ask(self) -> Outcome:
        """Send it."""
        try:
            parcel = self._parcel()
        except SecretUnreadable as error:
            return Outcome(Failed(str(error)))
        return Outcome(send(parcel, self.networks))

    def _parcel(self) -> Parcel:
        spec, run = self.spec, self.entry.run
        url = self._opened(spec.url, "url") if isinstance(spec.url, SecretRef) else spec.url
        if spec.type is NotifierType.SLACK:
            return Parcel(url, as_slack(self.event, run, self.page), {}, spec.allow_http)
        delivery = delivery_id(self.entry.id)
        body = as_json(self.event, run, self.entry.at, delivery, self.page)
        headers = {"X-Station-Event": self.event.value, "X-Station-Delivery": delivery}
        if spec.secret is not None:
            headers |= signed(body, self._opened(spec.secret, "secret"), int(self.now.timestamp()))
        return Parcel(url, body, headers, spec.allow_http)

    def _opened(self, secret: SecretRef, key: str) -> str:
        return self.secrets.for_run(secret, SealedPlace(self.placed.ref, key)).strip()


@dataclass(slots=True)
class Deliveries:
    """Sends the notices that are for notifiers."""

    store: Store
    world: World
    metrics: Metrics
    wake: Callable[[], None]
    secrets: SecretSources
    settings: Settings
    _inquiries: Inquiries = field(init=False)
    _resting: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    """The receivers that failed: how often in a row, and when the next one is tried."""

    def __post_init__(self) -> None:
        """Make a pool of threads of its own: no policy waits because a receiver is slow."""
        self._inquiries = Inquiries(self.wake)
        self.metrics.expect_notifications(list(NotifierType), ("sent", "retried", "failed"))

    def step(self, now: datetime) -> bool:
        """Take what is due, and deal with what was sent. Returns whether anything happened."""
        if self.world.in_force is None:
            return False
        free = AT_ONCE - len(self._inquiries)
        made = self._take(now, free) if free > 0 else False
        return bool(self._inquiries.step(now)) or made

    def is_idle(self, reading: Reading, now: datetime) -> bool:
        """Whether there is nothing to send now."""
        if self._inquiries:
            return False
        return self.world.in_force is None or not reading.deliveries(now, 1)

    def close(self) -> None:
        """Send nothing more. What is not sent yet stays in the outbox."""
        self._inquiries.close()

    def _take(self, now: datetime, free: int) -> bool:
        with self.store.reading() as reading:
            due = reading.deliveries(now, _BATCH)
        if not due:
            return False
        waiting = [entry for entry in due if self._rests(entry, now)]
        ready = [entry for entry in due if not self._rests(entry, now)][:free]
        with self.store.writing() as transaction:
            for entry in waiting:
                transaction.postpone_outbox(entry, self._resting[entry.receiver or ""][1])
            taken = transaction.claim_outbox(ready, now, LEASE) if ready else []
        for entry in taken:
            self._open(entry)
        return True

    def _rests(self, entry: OutboxEntry, now: datetime) -> bool:
        return now < self._resting.get(entry.receiver or "", (0, now))[1] and now - entry.at < LONGEST

    def _open(self, entry: OutboxEntry) -> None:
        def gather(now: datetime) -> Delivery | None:
            return self._delivery(entry, now)

        def conclude(delivery: Delivery | None, outcome: Outcome | None, now: datetime) -> None:
            if delivery is not None and outcome is None:
                outcome = Outcome(Failed("it could not be sent"))
            self._conclude(entry, delivery, outcome.failed if outcome is not None else None, now)

        self._inquiries.open(entry.id, gather, conclude)

    def _delivery(self, entry: OutboxEntry, now: datetime) -> Delivery | None:
        placed, event = hearing(self.world, entry).get(entry.receiver or ""), event_of(entry.run)
        spec = placed.resource.spec if placed is not None else None
        if placed is None or event is None or not isinstance(spec, NotifierSpec):
            # It has left the configuration, or does not want to hear of this any more.
            return None
        networks = [ip_network(text) for text in self.settings.notify_networks]
        return Delivery(placed, spec, event, entry, self._page(entry.run), self.secrets, networks, now)

    def _page(self, run: Run) -> str | None:
        address = self.settings.public_url
        return f"{address.rstrip('/')}/runs/{run.id}" if address is not None else None

    def _conclude(self, entry: OutboxEntry, delivery: Delivery | None, failed: Failed | None, now: datetime) -> None:
        receiver = entry.receiver or ""
        if failed is not None and not failed.final:
            failures, until = self._resting.get(receiver, (0, now))
            if now >= until:
                # Those that were under way at the same time count as one failure.
                self._resting[receiver] = failures + 1, now + retry_delay(failures + 1)
            if entry.attempt < ATTEMPTS and now - entry.at < LONGEST:
                with self.store.writing() as transaction:
                    transaction.postpone_outbox(entry, now + retry_delay(entry.attempt))
                self._tell(delivery, failed, "retried")
                return
        elif delivery is not None:
            self._resting.pop(receiver, None)
        with self.store.writing() as transaction:
            if not transaction.remove_from_outbox([entry]):
                return
            if delivery is not None:
                error = failed.why if failed is not None else None
                transaction.append_audit([about_delivery(entry.run, receiver, delivery.event, error, now)])
        self._tell(delivery, failed, "sent" if failed is None else "failed")

    def _tell(self, delivery: Delivery | None, failed: Failed | None, result: str) -> None:
        if delivery is None:
            return
        run, receiver = delivery.entry.run, delivery.entry.receiver
        self.metrics.notified(delivery.spec.type.value, result)
        if failed is None:
            _log.info("notifier %s told %s: run %s of %s", receiver, delivery.event, run.id, run.stack)
            return
        then = "it is tried again" if result == "retried" else "it is given up"
        words = "notifier %s cannot tell %s of run %s of %s: %s; %s"
        _log.warning(words, receiver, delivery.event, run.id, run.stack, failed.why, then)
