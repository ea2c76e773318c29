"""Sends a message for each open leg of the pools whose workers wait at a broker, again and again until one takes it up.

A message says only which leg is open. Who does it is decided when a worker claims it here: so a message that is lost is
sent again, and one that comes twice, or a day late, finds nothing to do. While the broker is away, no run of these
pools is claimed, so that they stay in the queue in their order.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from reconciler.engine.ends import LegId
from reconciler.engine.pull import PullEngine
from reconciler.repeating import Repeating
from reconciler.setting_sources import SettingsError
from reconciler.settings import Settings

_log = logging.getLogger(__name__)

CELERY_MISSING = "Celery is not installed: pip install 'stationkeeper[celery]'"

_LOOK = 1.0
AGAIN = 5.0
"""After so many seconds a leg that nobody has taken up is sent again."""
_CHECK = 30.0
"""After so many seconds without a message, the broker is asked whether it is there."""
_LONGEST_PAUSE = 15.0


class BrokerAway(Exception):
    """The broker did not take a message; the text says why, and names no password."""


class Broker(Protocol):
    """Where messages go. Only one thread uses it."""

    def check(self) -> None:
        """Reach the broker; BrokerAway otherwise."""

    def send(self, pool: str, which: LegId) -> None:
        """Put a message into the queue of a pool; BrokerAway where it was not taken."""


@dataclass(slots=True)
class Sender:
    """Sends what is open. `start` begins, and the end of the engine ends it."""

    engine: PullEngine
    broker: Broker
    pools: Callable[[], Collection[str]]
    """Returns the pools whose workers wait at the broker."""
    trouble: str | None = "the broker was not reached yet"
    """Why no message can be sent; None: they can."""
    _sent: dict[LegId, float] = field(default_factory=dict)
    _reached: float = 0.0
    _pause: float = 0.0
    _said: Repeating = field(default_factory=Repeating)

    def start(self) -> None:
        """Send from now on, in a thread of its own."""
        threading.Thread(target=self._run, name="sender", daemon=True).start()

    def send_open(self, now: float) -> None:
        """Send what is open and was not sent lately; `now` by `time.monotonic`."""
        pools = self.pools()
        if not pools:
            return
        waiting = [leg for leg in self.engine.legs() if leg.is_open(now) and leg.offer.pool in pools]
        open_ = {leg.which: leg.offer.pool for leg in waiting}
        self._sent = {which: at for which, at in self._sent.items() if which in open_}
        due = [which for which in open_ if now - self._sent.get(which, float("-inf")) >= AGAIN]
        try:
            if not due and (self.trouble is not None or now - self._reached >= _CHECK):
                self.broker.check()
                self._reached = now
            for which in due:
                self.broker.send(open_[which], which)
                self._sent[which] = self._reached = now
        except BrokerAway as away:
            if self._said.is_due(str(away)):
                _log.warning("no message can be sent to workers: %s", away)
            self.trouble = str(away)
            self._pause = min(max(1.0, self._pause * 2), _LONGEST_PAUSE)
            return
        if self.trouble is not None:
            _log.info("messages can be sent to workers")
            self._said.end()
            self.trouble, self._pause = None, 0.0
            self.engine.wake()

    def _run(self) -> None:
        while not self.engine.closed:
            try:
                self.send_open(time.monotonic())
            except Exception:  # noqa: BLE001 - it is logged
                # A thread that ends would leave all later legs unsent.
                _log.exception("sending messages to workers failed")
                self._pause = _LONGEST_PAUSE
            if self._pause:
                time.sleep(self._pause)
            else:
                self.engine.opened.wait(_LOOK)
            self.engine.opened.clear()


def open_broker(file: Path) -> Broker:
    """Return the broker that the setting names; SettingsError for one that cannot be used."""
    if find_spec("celery") is None:
        raise SettingsError(f"celery_broker_file: {CELERY_MISSING}")
    from reconciler.engine.celery_broker import BrokerRefused, CeleryBroker, broker_url  # noqa: PLC0415 - an extra

    try:
        return CeleryBroker(broker_url(file))
    except BrokerRefused as error:
        raise SettingsError(str(error)) from None


def send_messages(
    settings: Settings, engine: PullEngine, pools: Callable[[], Collection[str]]
) -> Callable[[], str | None]:
    """Begin to send messages over the broker of the settings; SettingsError for one that cannot be used.

    Returns what tells why none can be sent; None: they can.
    """
    if settings.celery_broker_file is None:
        return lambda: "the service's setting celery_broker_file is missing"
    sender = Sender(engine, open_broker(settings.celery_broker_file), pools)
    sender.start()
    return lambda: sender.trouble
