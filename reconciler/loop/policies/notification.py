"""Notification policies: asked about each notice in the outbox, beside the loop; nothing waits for their answer.

The transaction that ends a run, or lets it begin to wait, puts a notice into the outbox of the store. The loop calls
`NotificationPolicies.step`, which takes the notices that are due, asks the policies over their stacks, writes what they
tell to log and audit, and removes them. A service that stops in between loses nothing: what it had taken is due again
when its lease ends. Whoever removes a notice is the one who writes about it, and no other service does. Each notifier
that hears of a notice is given a copy, which `deliveries` sends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.core.results import Planned
from reconciler.core.retries import retry_delay
from reconciler.core.verdicts import Notice, NoticeSeverity
from reconciler.loop.desired.world import World
from reconciler.loop.policies.delivery import hearing
from reconciler.loop.policies.inquiries import Inquiries
from reconciler.loop.policies.plan import a_case
from reconciler.metrics import Metrics
from reconciler.policies.evaluation import notify
from reconciler.policies.inputs import Case, event_input
from reconciler.runs.audit import about_notice, about_silence
from reconciler.store.protocol import Store, Transaction
from reconciler.store.stored import AuditEvent, OutboxEntry
from reconciler.store.todo import ToDo
from spaces.effective.policies import Guardrail
from spaces.model.policy import PolicyType

_log = logging.getLogger(__name__)

_LEVELS = {
    NoticeSeverity.INFO: logging.INFO,
    NoticeSeverity.WARNING: logging.WARNING,
    NoticeSeverity.ERROR: logging.ERROR,
}

BATCH = 100
"""How many notices are looked at in one step."""

LEASE = timedelta(minutes=2)
"""How long a service may take to ask about a notice. Policies answer within seconds, or are stopped."""

ATTEMPTS = 8
"""How often policies are asked about a notice before it is given up. The last attempts are minutes apart."""

Told = list[tuple[Notice, ...] | str]
"""For each policy what it has to tell, or why it could not be evaluated."""


@dataclass(frozen=True, slots=True)
class NoticeQuestion:
    """A question about one notice, gathered whole, so that any thread may ask it."""

    policies: tuple[Guardrail, ...]
    case: Case

    def ask(self) -> Told:
        """Ask the policies. It takes as long as policies may take."""
        return notify(self.policies, event_input(self.case))


@dataclass(slots=True)
class NotificationPolicies:
    """Asks the notification policies about the notices in the outbox, and hands each notice on to notifiers."""

    store: Store
    world: World
    metrics: Metrics
    wake: Callable[[], None]
    _inquiries: Inquiries = field(init=False)

    def __post_init__(self) -> None:
        """Make a pool of threads of its own: no plan waits because notifications are slow."""
        self._inquiries = Inquiries(self.wake)

    def step(self, now: datetime, *, due: bool = True) -> bool:
        """Take what is due, and deal with what was answered. Returns whether a notice was dealt with.

        Where nothing is `due`, the store is not asked.
        """
        if self.world.in_force is None:
            # Nobody knows here which policies there are.
            return False
        wanted, unwanted = self._due(now) if due else ([], [])
        if unwanted:
            with self.store.writing() as transaction:
                removed = transaction.remove_from_outbox(unwanted)
                self._hand_on(transaction, (entry for entry in unwanted if entry.id in removed and not entry.attempt))
            self._count(entry for entry in unwanted if entry.id in removed)
        if wanted:
            with self.store.writing() as transaction:
                wanted = transaction.claim_outbox(wanted, now, LEASE)
                self._hand_on(transaction, (entry for entry in wanted if entry.attempt == 1))
            for entry in wanted:
                self._open(entry)
        return bool(self._inquiries.step(now) or unwanted)

    def _hand_on(self, transaction: Transaction, entries: Iterable[OutboxEntry]) -> None:
        """Give each notifier that hears of a notice one of its own: once, when somebody first takes the notice."""
        for entry in entries:
            receivers = hearing(self.world, entry)
            if receivers:
                transaction.add_deliveries(entry, receivers, entry.at)

    def _due(self, now: datetime) -> tuple[list[OutboxEntry], list[OutboxEntry]]:
        """Return the notices to ask about now, no more than can be asked at once, and those that nobody wants."""
        wanted: list[OutboxEntry] = []
        unwanted: list[OutboxEntry] = []
        free = self._inquiries.free
        if not free:
            return wanted, unwanted
        with self.store.reading() as reading:
            due = reading.outbox(now, BATCH)
        for entry in due:
            if not self._policies(entry):
                unwanted.append(entry)
                continue
            wanted.append(entry)
            if len(wanted) == free:
                break
        return wanted, unwanted

    def is_idle(self, to_do: ToDo) -> bool:
        """Whether there is nothing to do now: no notice is due, or this process cannot tell who wants to know."""
        return not self._inquiries and (self.world.in_force is None or not to_do.notices)

    def close(self) -> None:
        """Ask nothing more. What is not sent yet stays in the outbox."""
        self._inquiries.close()

    def _open(self, entry: OutboxEntry) -> None:
        def gather(now: datetime) -> NoticeQuestion | None:
            return self._question(entry, now)

        def conclude(question: NoticeQuestion | None, told: Told | None, now: datetime) -> None:
            self._conclude(entry, question, told, now)

        self._inquiries.open(entry.run.id, gather, conclude)

    def _policies(self, entry: OutboxEntry) -> tuple[Guardrail, ...]:
        stack = self.world.effective(entry.run.stack)
        policies = stack.policies if stack is not None else ()
        return tuple(policy for policy in policies if policy.spec.type is PolicyType.NOTIFICATION)

    def _question(self, entry: OutboxEntry, now: datetime) -> NoticeQuestion | None:
        policies, stack = self._policies(entry), self.world.effective(entry.run.stack)
        if stack is None or not policies:
            return None
        with self.store.reading() as reading:
            planned = reading.planned(entry.run.id) or Planned(has_changes=False)
            return NoticeQuestion(policies, a_case(reading, self.world, entry.run, stack, planned, now))

    def _conclude(self, entry: OutboxEntry, question: NoticeQuestion | None, told: Told | None, now: datetime) -> None:
        """Write what the policies tell, where this service still holds the notice."""
        if question is not None and told is None:
            if entry.attempt < ATTEMPTS:
                with self.store.writing() as transaction:
                    transaction.postpone_outbox(entry, now + retry_delay(entry.attempt))
                return
            told = ["it could not be asked"] * len(question.policies)
        answers = list(zip(question.policies, told or (), strict=True)) if question is not None else []
        with self.store.writing() as transaction:
            if not transaction.remove_from_outbox([entry]):
                return
            rows = _rows(entry, answers, now)
            if rows:
                transaction.append_audit(rows)
        self._count([entry])
        self._log(entry, answers)

    def _count(self, entries: Iterable[OutboxEntry]) -> None:
        """Count the runs that ended, here and by no other service."""
        for entry in entries:
            run = entry.run
            if not run.is_active:
                self.metrics.run_ended(run.stack.space, run.stack.name, str(run.kind), str(run.status))

    def _log(self, entry: OutboxEntry, answers: Sequence[tuple[Guardrail, tuple[Notice, ...] | str]]) -> None:
        run = entry.run
        for policy, answer in answers:
            if isinstance(answer, str):
                self.metrics.policy_decided(policy.spec.type.value, "error")
                _log.warning(
                    "policy %s on run %s of %s could not be evaluated: %s", policy.name, run.id, run.stack, answer
                )
                continue
            self.metrics.policy_decided(policy.spec.type.value, "notify" if answer else "quiet")
            for notice in answer:
                level = _LEVELS[notice.severity]
                _log.log(level, "policy %s on run %s of %s: %s", policy.name, run.id, run.stack, notice.message)


def _rows(
    entry: OutboxEntry, answers: Sequence[tuple[Guardrail, tuple[Notice, ...] | str]], now: datetime
) -> list[AuditEvent]:
    rows: list[AuditEvent] = []
    for policy, answer in answers:
        if isinstance(answer, str):
            rows.append(about_silence(entry.run, policy.name, answer, now))
        else:
            rows += [about_notice(entry.run, policy.name, notice, now) for notice in answer]
    return rows
