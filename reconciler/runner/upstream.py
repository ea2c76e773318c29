"""Speaks to the service about one stack's tfstate, and tells "it says no" from "it is away"."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

from reconciler.runner.job import WITH_TFSTATE, TfstateAccess

_SECONDS = 30.0


class Away(Exception):
    """The service did not answer, or not for itself."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service said."""

    status: int
    content_type: str
    body: bytes
    with_tfstate: bool = False
    """Whether it is the answer to a lock, and its body the tfstate that the lock is about."""


class Upstream:
    """One connection per request: there are few, and each has to find out whether the service is there."""

    def __init__(self, access: TfstateAccess) -> None:
        self._token = access.token
        self._url = urlsplit(access.url)
        if self._url.scheme not in {"http", "https"} or not self._url.hostname:
            raise ValueError("the tfstate's address is neither http nor https")

    def ask(self, method: str, query: str, body: bytes | None, seconds: float = _SECONDS) -> Answer:
        """Send a request on; raises Away when nobody answers in `seconds`, or with an error of the server's side."""
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=seconds)
        target = "?".join(
            part for part in (self._url.path or "/", "&".join(filter(None, (self._url.query, query)))) if part
        )
        headers = {"Authorization": f"Bearer {self._token}"}
        if method == "LOCK":
            headers["Prefer"] = WITH_TFSTATE
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Away(type(error).__name__) from None
        finally:
            connection.close()
        if response.status >= 500:
            raise Away(f"status {response.status}")
        with_tfstate = method == "LOCK" and response.headers.get("Preference-Applied") == WITH_TFSTATE
        content_type = response.headers.get("Content-Type", "application/json")
        return Answer(response.status, content_type, content, with_tfstate)
