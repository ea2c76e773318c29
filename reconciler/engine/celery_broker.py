"""Celery, as the service and its workers use it: one queue for each pool, and one task, whose message names a leg.

Celery only carries the message. It keeps no results, retries nothing by itself, and acknowledges a message before the
task begins: whatever gets lost by that is sent again by the service. Messages are JSON, and hold no secret. Nobody can
steer a worker through the broker: it answers no remote commands.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu.entity import Exchange, Queue

from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.files import read_secret_file
from reconciler.engine.ends import LegId
from reconciler.engine.sender import BrokerAway

TASK = "station.leg"
_SCHEMES = ("redis", "rediss", "sentinel", "amqp", "amqps")
_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_PAUSE = 0.2


class BrokerRefused(ValueError):
    """The file names no broker that can be used; the message is one line for the operator."""


def broker_url(file: Path) -> str:
    """Read the broker's URL; BrokerRefused where there is none."""
    try:
        url = read_secret_file(file, "celery_broker_file").strip()
    except SecretUnreadable as error:
        raise BrokerRefused(str(error)) from None
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in _SCHEMES or any(letter.isspace() for letter in url):
        raise BrokerRefused(f"celery_broker_file: the file {file} needs one URL: {', '.join(_SCHEMES)}://…")
    return url


def queue_name(pool: str) -> str:
    """Return the name of a pool's queue at the broker."""
    return f"station.{pool.replace('/', '.')}"


def queue_of(pool: str) -> Queue:
    """Return the queue of a pool. A message goes straight into it, by no exchange that somebody could have removed."""
    name = queue_name(pool)
    return Queue(name, Exchange(""), routing_key=name)  # type: ignore[no-untyped-call]


def message_of(which: LegId) -> dict[str, object]:
    """Return everything that a message says."""
    return {"run": which.run, "attempt": which.attempt, "leg": str(which.leg)}


def make_app(url: str) -> Celery:
    """Return the Celery application of a service or a worker."""
    app = Celery("stationkeeper", broker=url, set_as_current=False, fixups=[])
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_timeout=_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_options(url),
        broker_use_ssl=_checks(url),
    )
    return app


def _options(url: str) -> Mapping[str, Any]:
    # Who sends tries again later by itself, and has others to send to meanwhile.
    briefly = {"max_retries": 1, "interval_start": _PAUSE, "interval_step": _PAUSE, "interval_max": _PAUSE}
    if urlsplit(url).scheme.startswith("amqp"):
        return {**briefly, "confirm_publish": True}
    return {
        **briefly,
        "socket_connect_timeout": _SECONDS,
        "socket_timeout": _ANSWER_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }


def _checks(url: str) -> Mapping[str, Any] | bool:
    """Return how the broker's certificate is checked: left alone, the libraries take any, or one of any name."""
    parts = urlsplit(url)
    match parts.scheme:
        case "rediss":
            return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
        case "amqps":
            return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname}
        case _:
            return False


class CeleryBroker:
    """The broker as the service uses it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._app = self._new_app()

    def check(self) -> None:
        """Reach the broker; BrokerAway otherwise."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=_PAUSE, timeout=_SECONDS)
        except Exception as error:  # noqa: BLE001 - each library has errors of its own
            raise _away(error) from None

    def send(self, pool: str, which: LegId) -> None:
        """Put a message into the queue of a pool; BrokerAway where it was not taken."""
        try:
            self._app.send_task(TASK, kwargs=message_of(which), queue=queue_of(pool), ignore_result=True)
        except Exception as error:  # noqa: BLE001 - likewise
            # A connection that died is not used again, and a closed pool of them neither.
            self._app.close()
            self._app = self._new_app()
            raise _away(error) from None

    def _new_app(self) -> Celery:
        app = make_app(self._url)
        if urlsplit(self._url).scheme.startswith("amqp"):
            # A broker that says nothing any more must not hold up the messages to come. Workers only wait, and may.
            app.conf.broker_transport_options |= {"read_timeout": _ANSWER_SECONDS, "write_timeout": _ANSWER_SECONDS}
        return app


def _away(error: Exception) -> BrokerAway:
    """Say what is wrong by the kind of error alone: each library has its own, and some of them quote the URL."""
    cause = error.__cause__ or error.__context__ or error
    return BrokerAway(f"the broker cannot be used ({type(cause).__name__})")
