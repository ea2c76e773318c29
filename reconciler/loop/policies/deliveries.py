"""Notifiers: sends each notice that is for one, beside the loop, again and again until it is taken or given up.

A notice about a run is a row of the outbox, written by the transaction that first takes the notice for policies. One
about the configuration is an announcement, written by the transaction that records what happened (`loop/desired`). A
service that stops while it sends leaves the row, which is due again when its lease ends: a receiver may hear of an
event twice, with the same delivery id, and never not at all. While a receiver is away, everything else for it waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_network

from reconciler.core.retries import retry_delay
from reconciler.core.runs import Run
from reconciler.credentials.files import read_secret_file
from reconciler.credentials.secrets import SecretSources
from reconciler.loop.desired.world import World
from reconciler.loop.policies.delivery import Delivery, DeliveryOutcome, Errand, receiver_of
from reconciler.loop.policies.inquiries import Inquiries
from reconciler.metrics import Metrics
from reconciler.notifying.mail import MailServer
from reconciler.notifying.sending import Failed
from reconciler.runs.audit import about_delivery
from reconciler.settings import Settings
from reconciler.store.protocol import Store, Transaction
from reconciler.store.stored import Announcement, OutboxEntry
from reconciler.store.todo import ToDo
from spaces.model.notifier import NotifierType

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

    def step(self, now: datetime, *, due: bool = True) -> bool:
        """Take what is due, and deal with what was sent. Returns whether anything happened.

        Where nothing is `due`, the store is not asked.
        """
        if self.world.in_force is None:
            return False
        free = AT_ONCE - len(self._inquiries)
        made = self._take(now, free) if due and free > 0 else False
        return bool(self._inquiries.step(now)) or made

    def is_idle(self, to_do: ToDo) -> bool:
        """Whether there is nothing to send now."""
        return not self._inquiries and (self.world.in_force is None or not (to_do.deliveries or to_do.announcements))

    def close(self) -> None:
        """Send nothing more. What is not sent yet stays in the outbox."""
        self._inquiries.close()

    def _take(self, now: datetime, free: int) -> bool:
        with self.store.reading() as reading:
            due: list[Errand] = [*reading.deliveries(now, _BATCH), *reading.announcements(now, _BATCH)]
        if not due:
            return False
        waiting = [errand for errand in due if self._rests(errand, now)]
        ready = sorted((errand for errand in due if not self._rests(errand, now)), key=lambda errand: errand.at)[:free]
        with self.store.writing() as transaction:
            for errand in waiting:
                _postpone(transaction, errand, self._resting[errand.receiver or ""][1])
            taken = _claim(transaction, ready, now)
        for errand in taken:
            self._open(errand)
        return True

    def _rests(self, errand: Errand, now: datetime) -> bool:
        return now < self._resting.get(errand.receiver or "", (0, now))[1] and now - errand.at < LONGEST

    def _open(self, errand: Errand) -> None:
        def gather(now: datetime) -> Delivery | None:
            return self._delivery(errand, now)

        def conclude(delivery: Delivery | None, outcome: DeliveryOutcome | None, now: datetime) -> None:
            if delivery is not None and outcome is None:
                outcome = DeliveryOutcome(Failed("it could not be sent"))
            self._conclude(errand, delivery, outcome.failed if outcome is not None else None, now)

        self._inquiries.open(errand.id, gather, conclude)

    def _delivery(self, errand: Errand, now: datetime) -> Delivery | None:
        found, in_force = receiver_of(self.world, errand), self.world.in_force
        if found is None or in_force is None:
            return None
        placed, spec, event = found
        path = in_force.documents.tree.path(placed.ref.space)
        networks = [ip_network(text) for text in self.settings.notify_networks]
        address = self.settings.public_url
        return Delivery(placed, path, spec, event, errand, address, self.secrets, networks, self._mail_server, now)

    def _mail_server(self) -> MailServer | None:
        settings, file = self.settings, self.settings.mail_password_file
        if settings.mail_server is None or settings.mail_from is None:
            return None
        password = read_secret_file(file, "mail_password_file").strip() if file is not None else None
        domains = settings.mail_domains or (settings.mail_from.rpartition("@")[2],)
        allowed = {domain.lower() for domain in domains}
        return MailServer(settings.mail_server, settings.mail_from, settings.mail_user, password, allowed)

    def _conclude(self, errand: Errand, delivery: Delivery | None, failed: Failed | None, now: datetime) -> None:
        receiver = errand.receiver or ""
        if failed is not None and not failed.final:
            failures, until = self._resting.get(receiver, (0, now))
            if now >= until:
                # Those that were under way at the same time count as one failure.
                self._resting[receiver] = failures + 1, now + retry_delay(failures + 1)
            if errand.attempt < ATTEMPTS and now - errand.at < LONGEST:
                with self.store.writing() as transaction:
                    _postpone(transaction, errand, now + retry_delay(errand.attempt))
                self._tell(delivery, failed, "retried")
                return
        elif delivery is not None:
            self._resting.pop(receiver, None)
        with self.store.writing() as transaction:
            if not _remove(transaction, errand):
                return
            if delivery is not None:
                error = failed.why if failed is not None else None
                transaction.append_audit([about_delivery(_run(errand), receiver, delivery.event, error, now)])
        self._tell(delivery, failed, "sent" if failed is None else "failed")

    def _tell(self, delivery: Delivery | None, failed: Failed | None, result: str) -> None:
        if delivery is None:
            return
        errand, run = delivery.entry, _run(delivery.entry)
        about = f"{delivery.event} of run {run.id} of {run.stack}" if run is not None else str(delivery.event)
        self.metrics.notified(delivery.spec.type.value, result)
        if failed is None:
            _log.info("notifier %s told %s", errand.receiver, about)
            return
        then = "it is tried again" if result == "retried" else "it is given up"
        _log.warning("notifier %s cannot tell %s: %s; %s", errand.receiver, about, failed.why, then)


def _run(errand: Errand) -> Run | None:
    return errand.run if isinstance(errand, OutboxEntry) else None


def _claim(transaction: Transaction, ready: Sequence[Errand], now: datetime) -> list[Errand]:
    about_runs = [each for each in ready if isinstance(each, OutboxEntry)]
    others = [each for each in ready if isinstance(each, Announcement)]
    taken: list[Errand] = []
    taken += transaction.claim_outbox(about_runs, now, LEASE) if about_runs else []
    taken += transaction.claim_announcements(others, now, LEASE) if others else []
    return taken


def _postpone(transaction: Transaction, errand: Errand, until: datetime) -> None:
    if isinstance(errand, OutboxEntry):
        transaction.postpone_outbox(errand, until)
    else:
        transaction.postpone_announcement(errand, until)


def _remove(transaction: Transaction, errand: Errand) -> bool:
    if isinstance(errand, OutboxEntry):
        return bool(transaction.remove_from_outbox([errand]))
    return transaction.remove_announcement(errand)
