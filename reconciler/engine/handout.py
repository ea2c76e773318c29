"""A leg while it is in other hands: offered to workers, or taken by one."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler.engine.ends import LegId
from reconciler.engine.ledger import LegOffer
from reconciler.engine.roster import Presence
from reconciler.runner.contract.job import LegOrder


class LegRefused(Exception):
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


@dataclass(eq=False, slots=True)
class Handout:
    """A leg that is offered to workers, or that one of them has taken. Times are those of `time.monotonic`."""

    which: LegId
    offer: LegOffer
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
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    """Held while something of this leg is written: the disk is slow, and the other legs do not wait for it."""

    def make_token(self) -> str:
        """Make the token that opens the leg from now on, in the place of every other one."""
        which = self.which
        token = f"{which.run}.{which.attempt}.{which.leg}.{secrets.token_urlsafe(32)}"
        self.offer = replace(self.offer, token_hash=_hash(token))
        return token

    def opens(self, token: str) -> bool:
        """Whether a token is the leg's."""
        return hmac.compare_digest(self.offer.token_hash, _hash(token))

    def is_open(self, now: float) -> bool:
        """Whether anybody may be offered it; `now` by `time.monotonic`."""
        return self.worker is None and not self.canceled and self.reserved_until <= now and self.order is not None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def free_places(legs: Sequence[Handout], asking: Sequence[str], there: Mapping[str, Presence]) -> int:
    """Count how many more legs of a pool its workers wait for: those that ask, and those that wait for messages.

    `legs` are those of the pool, `there` what its workers said of themselves.
    """
    open_ = [
        leg
        for leg in legs
        if leg.worker is None
        and (leg.offer.wanted is None or leg.offer.wanted in asking)
        and (not asking or any(name in there and there[name].fits(*leg.needs) for name in asking))
    ]
    busy = Counter(leg.worker for leg in legs)
    told = sum(max(0, said.places - busy[name]) for name, said in there.items() if said.by_message)
    return max(0, len(asking) + told - len(open_))
