"""The parts of the service that the API uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rbac.access.access import Access
from rbac.access.subjects import Subject
from rbac.admission.settings import DESTROY_BUDGET
from rbac.identity import IdentityMode
from reconciler.adopting.finding import Adoption, Difference
from reconciler.core.orders import Order, Wanted
from reconciler.core.runs import Run, RunId
from reconciler.core.verdicts import ReviewEffect
from reconciler.engine.pull import PullEngine
from reconciler.issuer.issuer import Issuer
from reconciler.metrics import Metrics
from reconciler.proposals import Proposal
from reconciler.refusals import OperationRefused, Refusal
from reconciler.store.protocol import Store
from reconciler.web.foreign_tokens import Foreigners
from reconciler.web.one_time import OneTimeCodes
from reconciler.web.pace import Pace
from reconciler.web.provider import OidcProvider
from spaces.documents.documents import PlacedDocuments
from spaces.documents.tree import SpaceTree
from spaces.effective.stack import EffectiveStack
from spaces.names import ROOT, Revision, SpaceName, StackId


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def _nothing() -> None:
    pass


def _no_input(_run: RunId) -> dict[str, Any] | None:
    return None


def _no_effect(_run: RunId, _person: str) -> ReviewEffect | None:
    return None


def _root(_file: str) -> SpaceName:
    return ROOT


def _no_summary(_revision: Revision) -> str | None:
    return None


def _no_diff(_held: str) -> str | None:
    return None


def _nowhere(_stack: StackId, _at: str) -> Run | str:
    return "what is in force is not known here"


def _no_proposal(_stack: StackId, _ref: str, _asker: Subject) -> Proposal | str:
    return "what is in force is not known here"


def _no_access(_ref: str, _asker: Subject) -> Access | str:
    return "what is in force is not known here"


def _no_adoptions(_stack: StackId, _differences: Iterable[Difference]) -> list[Adoption]:
    return []


def _no_order(_wanted: Wanted) -> Order:
    raise OperationRefused(Refusal.ORDERS_OFF, "nothing can be ordered here")


WebhookSecret = Callable[[], str]
"""Reads the secret that senders of webhooks know; SecretUnreadable where it cannot be read."""


@dataclass(frozen=True, slots=True)
class RunnerDoor:
    """The engine that workers on other machines get their legs from, and how many bytes a run's log may have."""

    engine: PullEngine
    log_limit: int
    unreachable: Callable[[], str | None] = lambda: None
    """Returns why workers that wait for messages get none; None: they do."""


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """What the service's settings say about whose a change is, and about what is admitted."""

    identity: str = IdentityMode.SIGNED.value
    admins: tuple[str, ...] = ()
    identity_forges: tuple[str, ...] = ()
    destroy_budget: float = DESTROY_BUDGET


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check of the doctor. `level` is ok, warning or error; `advice` says what to do about it."""

    level: str
    what: str
    found: str
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class SettingValue:
    """A setting of the service, in the words of people, without any password. `place`: where it is from."""

    name: str
    value: str
    place: str
    description: str


@dataclass(frozen=True, slots=True)
class Ports:
    """The service as the API sees it. Several threads may call everything here at once."""

    store: Store
    operator_token: str = field(repr=False)
    """The token of the operator, who may do everything."""
    tree: Callable[[], SpaceTree]
    """Returns the spaces in force."""
    access: Callable[[], Access]
    """Returns the access rules in force at this moment."""
    effective: Callable[[StackId], EffectiveStack | None]
    """Returns the effective configuration of a stack; None if no such stack is in force."""
    live_log: Callable[[RunId, int, int], bytes | None]
    """Returns up to `limit` bytes from `offset` of a log that is not stored yet; None if it is not on this machine."""
    documents: Callable[[], PlacedDocuments] = PlacedDocuments.empty
    """Returns the documents in force."""
    holder: str = ""
    """Names this service among those that share the store."""
    recipient: str = ""
    """The public half of this installation's key, to which values are sealed."""
    admission: AdmissionSettings = AdmissionSettings()
    home: Callable[[str], SpaceName] = _root
    """Returns the space that a file of the configuration lies in, by its directory."""
    held_diff: Callable[[str], str | None] = _no_diff
    """Returns the diff of a held change by its id; None if it is about a source, or not held any more."""
    policy_input: Callable[[RunId], dict[str, Any] | None] = _no_input
    """Returns the input of the policies over a run; None if it has no plan, or its stack is not in force."""
    review_effect: Callable[[RunId, str], ReviewEffect | None] = _no_effect
    """Returns what a person's review of a run does; None if that cannot be told."""
    summary: Callable[[Revision], str | None] = _no_summary
    """Returns the first line of what a commit of the configuration says; None if it is not there."""
    earlier: Callable[[StackId, str], Run | str] = _nowhere
    """Returns the run that was for what a stack was at a revision, or at a run's id; else why there is none."""
    proposal: Callable[[StackId, str, Subject], Proposal | str] = _no_proposal
    """Returns what merging a branch or commit would make of a stack, for whom asks; else why no plan may come of it."""
    adoptions: Callable[[StackId, Iterable[Difference]], list[Adoption]] = _no_adoptions
    """Returns what to change in Git so that it says what the real world has, for each difference."""
    access_with: Callable[[str, Subject], Access | str] = _no_access
    """Returns the access rules as merging a branch would make them, for whom asks; else why nobody can tell."""
    order: Callable[[Wanted], Order] = _no_order
    """Puts an instance of a blueprint on a branch, in somebody's name; OperationRefused where that fails."""
    orders_on: bool = False
    """Whether it is set up to do so."""
    codes: OneTimeCodes = field(default_factory=OneTimeCodes)
    """The codes that sign the operator in to the page."""
    pace: Pace = field(default_factory=Pace)
    """Counts the requests of each token."""
    metrics: Metrics = field(default_factory=Metrics)
    wake: Callable[[], None] = _nothing
    """Makes the loop start a pass at once."""
    ready: Callable[[], bool] = lambda: True
    """Whether a first pass succeeded."""
    runner: RunnerDoor | None = None
    """What workers on other machines ask; None: no loop runs here."""
    workers: Callable[[], Mapping[tuple[str, str], int]] = dict
    """Returns how many places for runs this service has, by pool and state; none where nothing runs."""
    settings: Callable[[], list[SettingValue]] = list
    """Returns the settings of the service."""
    examine: Callable[[], Iterable[Finding]] = tuple
    """Checks that everything the service needs is in place. It may look elsewhere, and take a while."""
    judges: bool = False
    """Whether a loop runs here, which judges approvals soon."""
    trouble: Callable[[], str | None] = lambda: None
    """Returns why passes cannot use the store, without naming a place; None if they can."""
    now: Callable[[], datetime] = utc_now
    metrics_need_token: bool = False
    """Whether `/metrics` needs a token from this machine too. From other machines it always does."""
    foreigners: Foreigners = field(default_factory=Foreigners)
    """Checks tokens that others signed, for the API keys that trust them."""
    provider: OidcProvider | None = None
    """The identity provider that people can sign in with."""
    issuer: Issuer | None = None
    """The issuer of run tokens; None if the settings name none."""
    webhook_secret: WebhookSecret | None = None
    """None: no webhooks are taken."""
    hosts: frozenset[str] = frozenset()
    """The host names, besides `localhost` and plain addresses, under which this service may be called."""
