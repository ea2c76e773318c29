"""A cluster, by the official client: the few calls that the engine needs, with JSON as Kubernetes has it.

The client is imported when the first pool needs it: it takes about a second, and most services have none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_SECONDS = (5.0, 20.0)
"""How long to wait for a connection, and for an answer."""


class Unreachable(Exception):
    """The cluster cannot be asked now; the same may succeed later. The message is one line."""


class NotAllowed(Exception):
    """The cluster refuses what was asked; the message is its own, in one line. `hopeless`: it always will."""

    def __init__(self, message: str, *, hopeless: bool = False) -> None:
        super().__init__(message)
        self.hopeless = hopeless


class Cluster:
    """One cluster. Any thread may call any method; every one raises Unreachable or NotAllowed."""

    def __init__(self, config: Path | None, context: str | None) -> None:
        """`config` is a file with contexts; None: the cluster around this process."""
        try:
            from kubernetes import client  # noqa: PLC0415 - takes a second
            from kubernetes import config as settings  # noqa: PLC0415
        except ImportError:
            raise Unreachable("the service lacks the extra stationkeeper[kubernetes]") from None
        try:
            own = client.Configuration()
            # The next look asks again. To wait four times for one that hangs would hold the other clusters up.
            own.retries = False
            if config is not None:
                settings.load_kube_config(str(config), context, client_configuration=own)
            elif context is not None:
                raise Unreachable(f"the cluster {context} needs the setting kubernetes_config")
            else:
                settings.load_incluster_config(client_configuration=own)
            api = client.ApiClient(own)
        except (settings.ConfigException, OSError, ValueError) as error:
            raise Unreachable(f"the service has no access to a cluster: {_line(str(error))}") from None
        self._failed = client.ApiException
        self._api = api
        self._jobs, self._core = client.BatchV1Api(api), client.CoreV1Api(api)

    def make_job(self, namespace: str, job: Json) -> Json:
        """Make a Job, or return the one of that name that is there already."""
        try:
            with self._asking():
                return self._read(self._jobs.create_namespaced_job, namespace, job)
        except _Exists:
            pass
        with self._asking():
            return self._read(self._jobs.read_namespaced_job, job["metadata"]["name"], namespace)

    def put_secret(self, namespace: str, secret: Json) -> None:
        """Make a Secret, or put it in the place of the one that is there already."""
        try:
            with self._asking():
                self._read(self._core.create_namespaced_secret, namespace, secret)
        except _Exists:
            with self._asking():
                self._read(self._core.replace_namespaced_secret, secret["metadata"]["name"], namespace, secret)

    def delete_job(self, namespace: str, name: str) -> None:
        """Delete a Job and its pods, which have their grace; nothing where it is gone already."""
        with self._asking(gone_is_fine=True):
            self._read(self._jobs.delete_namespaced_job, name, namespace, propagation_policy="Background")

    def jobs(self, namespace: str, selector: str) -> list[Json]:
        """List Jobs by label."""
        with self._asking():
            return list(self._read(self._jobs.list_namespaced_job, namespace, label_selector=selector)["items"])

    def pods(self, namespace: str, selector: str) -> list[Json]:
        """List pods by label."""
        with self._asking():
            return list(self._read(self._core.list_namespaced_pod, namespace, label_selector=selector)["items"])

    def events(self, namespace: str, name: str) -> list[Json]:
        """List the events about an object of that name; none where the service may not read them."""
        try:
            with self._asking():
                about = f"involvedObject.name={name}"
                return list(self._read(self._core.list_namespaced_event, namespace, field_selector=about)["items"])
        except NotAllowed:
            return []

    def close(self) -> None:
        """Close all connections."""
        self._api.close()

    @staticmethod
    def _read(call: Callable[..., Any], *arguments: object, **more: object) -> Json:
        answer = call(*arguments, **more, _preload_content=False, _request_timeout=_SECONDS)
        found = json.loads(answer.data)
        return found if isinstance(found, dict) else {}

    @contextmanager
    def _asking(self, *, gone_is_fine: bool = False) -> Iterator[None]:
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - comes with the client

        try:
            yield
        except self._failed as error:
            status = error.status or 0
            if status == 409:
                raise _Exists(_said(error.body)) from None
            if gone_is_fine and status == 404:
                return
            if status in {0, 401, 408, 429} or status >= 500:
                raise Unreachable(f"the cluster answers {status}: {_said(error.body)}") from None
            raise NotAllowed(_said(error.body), hopeless=status in {400, 404, 422}) from None
        except (HTTPError, OSError, ValueError) as error:
            raise Unreachable(f"the cluster cannot be reached: {type(error).__name__}") from None


class _Exists(NotAllowed):
    """There is an object of that name, or it was changed meanwhile."""


def _said(body: object) -> str:
    """Return the message of an answer that refuses something."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        said = json.loads(text)
    except ValueError:
        return _line(text)
    return _line(str(said.get("message") or said.get("reason") or "")) if isinstance(said, dict) else _line(text)


def _line(text: str) -> str:
    return " ".join(text.split())[:400]
