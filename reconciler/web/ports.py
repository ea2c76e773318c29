"""What the API needs of the service it speaks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rbac.access.access import Access
from reconciler.core.runs import RunId
from reconciler.metrics import Metrics
from reconciler.store.protocol import Store
from spaces.documents.documents import PlacedDocuments
from spaces.documents.tree import SpaceTree
from spaces.effective.stack import EffectiveStack
from spaces.names import StackId


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _nothing() -> None:
    pass


def _no_input(_run: RunId) -> dict[str, Any] | None:
    return None


@dataclass(frozen=True, slots=True)
class Ports:
    """The doors of a service. Everything here may be called from several threads at once."""

    store: Store
    operator_token: str = field(repr=False)
    """Who shows it is the operator and may do everything."""
    tree: Callable[[], SpaceTree]
    """The spaces in force."""
    access: Callable[[], Access]
    """The access rules in force, as they are now."""
    effective: Callable[[StackId], EffectiveStack | None]
    """What is in force of a stack, with where each value comes from; None: no such stack in force."""
    live_log: Callable[[RunId, int, int], bytes | None]
    """Up to `limit` bytes from `offset` of the log of a run whose log is not stored yet; None: it is not here."""
    documents: Callable[[], PlacedDocuments] = PlacedDocuments.empty
    """The documents in force."""
    recipient: str = ""
    """Whom values are sealed to: the public half of this installation's key."""
    policy_input: Callable[[RunId], dict[str, Any] | None] = _no_input
    """What the policies over a run are asked; None: it has no plan, or its stack is not in force."""
    metrics: Metrics = field(default_factory=Metrics)
    wake: Callable[[], None] = _nothing
    """Have the loop look at once."""
    ready: Callable[[], bool] = lambda: True
    """Whether a first pass went through."""
    trouble: Callable[[], str | None] = lambda: None
    """Why passes cannot use the store, without naming a place; None: they can."""
    now: Callable[[], datetime] = _utc_now
    metrics_need_token: bool = False
    """Whether `/metrics` wants a token from this machine too; from others it always does."""
    hosts: frozenset[str] = frozenset()
    """Names besides `localhost` and plain addresses by which this service may be called."""
