"""How a worker gets messages about legs: as a worker of Celery, which waits at the pool's queue.

Celery's part ends where a message is read. What the message names is claimed from the service, as every leg is, and the
worker does it.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from celery.worker import WorkController, state
from celery.worker.consumer import Consumer

from reconciler.core.phases import Leg
from reconciler.engine.celery_broker import TASK, make_app, message_of, queue_name, queue_of
from reconciler.engine.ends import LegId

_log = logging.getLogger(__name__)

_RUN = re.compile(r"[0-9a-z]{26}")
_PAUSE = 1.0
"""Seconds before messages are read again after something else was in the queue."""
_MOST_ROUNDS = 30
"""How often a message is put back for another worker. After that the service sends another one, if it has to."""


class Messages:
    """The messages of one pool, from `start` to `stop`. One process has one of them."""

    def __init__(self, url: str, pool: str, worker: str, receive: Callable[[LegId], bool]) -> None:
        """`receive` takes a leg that a message named, or says False: it is for another worker."""
        self._queue = queue_of(pool)
        self._app = app = make_app(url)
        app.conf.task_queues = [self._queue]
        app.conf.task_default_queue = queue_name(pool)

        def read(task: Any, run: object = None, attempt: object = None, leg: object = None) -> None:
            which = _leg_of(run, attempt, leg)
            if which is None:
                _log.warning("a message in the queue %s names no leg: somebody else uses this queue", queue_name(pool))
            elif not receive(which) and task.request.retries < _MOST_ROUNDS:
                again = task.request.retries + 1
                app.send_task(TASK, kwargs=message_of(which), queue=self._queue, retries=again, ignore_result=True)

        for chatty in ("celery.worker.strategy", "celery.app.trace"):
            # Every message would be a line or two, and what comes of a leg is logged anyway.
            logging.getLogger(chatty).setLevel(logging.WARNING)
        app.task(name=TASK, bind=True, ignore_result=True)(read)
        self._hostname = f"{worker}@{pool.replace('/', '.')}"
        self._thread = threading.Thread(target=self._read, name="messages", daemon=True)

    def start(self) -> None:
        """Read messages from now on, as soon as the broker can be reached."""
        state.should_stop = state.should_terminate = None
        self._thread.start()

    def _read(self) -> None:
        while True:
            worker: WorkController = self._app.WorkController(
                pool_cls="threads",
                consumer_cls=_Consumer,
                concurrency=1,
                hostname=self._hostname,
                without_gossip=True,
                without_mingle=True,
                without_heartbeat=True,
            )
            worker.start()
            if state.should_stop is not None or state.should_terminate is not None:
                return
            # What is no message at all ends Celery's part, and is gone by then: whoever wrote it stops no worker by it.
            _log.warning("reading the queue %s failed, as the log says just before: it is read on", self._queue.name)
            time.sleep(_PAUSE)

    def stop(self, seconds: float) -> None:
        """Read no more messages, and wait up to some seconds until that is so."""
        state.should_stop = 0
        self._thread.join(seconds)

    @property
    def ended(self) -> bool:
        """Whether no messages are read any more."""
        return not self._thread.is_alive()


class _Consumer(Consumer):  # type: ignore[misc]
    """Refuses a message that Celery cannot make a task of. Otherwise it ended the worker, and then the next one."""

    def update_strategies(self) -> None:
        """Work out how messages about each task are read."""
        super().update_strategies()
        for name, strategy in list(self.strategies.items()):
            self.strategies[name] = self._careful(strategy)

    def _careful(self, strategy: Callable[..., None]) -> Callable[..., None]:
        def read(message: Any, *more: Any) -> None:
            try:
                strategy(message, *more)
            except Exception:  # noqa: BLE001 - anybody may have written the message
                _log.warning("a message in the queue is none of a service: somebody else uses this queue")
                message.reject_log_error(_log, self.connection_errors)

        return read


def _leg_of(run: object, attempt: object, leg: object) -> LegId | None:
    named = isinstance(run, str) and _RUN.fullmatch(run) and isinstance(leg, str) and leg in set(Leg)
    if not named or not isinstance(attempt, int) or isinstance(attempt, bool) or not 0 <= attempt < 2**31:
        return None
    return LegId(str(run), attempt, Leg(str(leg)))
