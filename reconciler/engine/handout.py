"""A leg while it is in other hands: offered to workers, or taken by one."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.engine.ends import LegId
from reconciler.engine.ledger import Offer
from reconciler.runner.contract.job import LegOrder


class Refused(Exception):
    """A worker may not do this; the message is one sentence for its log."""


@dataclass(frozen=True, slots=True)
class LegFacts:
    """What may be known of a leg where it is not done. `timeout` is of all its phases, in seconds."""

    stack: str
    timeout: float

    @classmethod
    def of(cls, order: LegOrder) -> LegFacts:
        """Return what may be known of an order."""
        return cls(order.stack, sum(order.limits.phase_seconds.values()))


@dataclass(slots=True)
class Handout:
    """A leg that is offered to workers, or that one of them has taken. Times are those of `time.monotonic`."""

    which: LegId
    offer: Offer
    order: bytes | None = field(repr=False)
    """What the leg is to do, as JSON, with its secrets; None: it was given away, or lost with the process before."""
    since: float
    worker: str | None = None
    """Who has taken it; None: it is only offered."""
    once: bool = False
    """Whether that one does this leg alone, and is not seen again."""
    reserved_until: float = 0.0
    beat: float = 0.0
    """When the worker was heard of last."""
    canceled: bool = False
    fenced: float = float("-inf")
    """When the store was last seen to have the leg at work."""
    needs: tuple[str, str | None] = ("", None)
    """The tool, and the versions of it that the stack allows."""
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    """The tokens of the run's identity, by the names of their files."""
    renewed: dict[str, str] = field(default_factory=dict, repr=False)
    """Those of them that the worker has not got yet."""
    near: str | None = None
    """The worker that has the run's directory, and need not fetch what another one would."""
    facts: LegFacts | None = None
    """What else may be known of it; None: it was lost with the process before."""
