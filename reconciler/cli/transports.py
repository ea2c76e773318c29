"""The ways in which a command's requests reach the API, and what an answer is.

`client.connect` takes `OverHttp` where a URL names the service, else `Local`. A `Local` asks the service that runs on
the data directory, through the socket there; where none runs, it asks the same app in this process. Each way imports
what it needs when it is first used: a command that a running service answers loads nothing of a service itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self
from urllib.parse import quote, unquote, urlencode, urlsplit

from reconciler.cli.errors import CliError
from reconciler.cli.service_token import is_loopback
from reconciler.runner.tfstate.door import DoorConnection, open_directory

if TYPE_CHECKING:
    from reconciler.settings import Settings

_SECONDS = 30.0
_JSON = "application/json"


class Answer(NamedTuple):
    """The answer to one request."""

    status: int
    reason: str
    content_type: str
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the service did what was asked."""
        return 200 <= self.status < 300

    def json(self, **options: Any) -> Any:
        """Return the content, read as JSON; ValueError where it is not. `options` are those of `json.loads`."""
        return json.loads(self.content, **options)


class Transport(Protocol):
    """Sends requests. A body of bytes is sent as it is, any other as JSON, None not at all."""

    def send(self, method: str, path: str, params: Mapping[str, Any], body: Any = None) -> Answer:
        """Return the answer, whatever its status; raise CliError where there is none."""


class OverHttp:
    """Asks the service at a URL."""

    def __init__(self, url: str, token: str | None) -> None:
        import httpx

        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CliError(f"{url} is not the URL of a service: write one that begins with http:// or https://")
        self._name = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._token = token
        self._client = httpx.Client(
            base_url=self._name.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=_SECONDS,
            # A proxy for the outside world must not get requests to this machine.
            trust_env=not is_loopback(parts.hostname),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(self, method: str, path: str, params: Mapping[str, Any], body: Any = None) -> Answer:
        """Return the answer, whatever its status."""
        import httpx

        content, headers = _as_body(body)
        try:
            response = self._client.request(method, path, params=params, content=content, headers=headers)
        except httpx.TimeoutException:
            raise CliError(f"{self._name} did not answer within {_SECONDS:.0f} s") from None
        except httpx.HTTPError as error:
            raise CliError(f"{self._name} cannot be reached: {error}") from None
        if response.status_code == 401:
            why = "rejected the token" if self._token else f"requires a token{self._why_none()}"
            raise CliError(f"{self._name} {why}: set STATION_TOKEN or --token-file, or run station login")
        content_type = response.headers.get("content-type", "")
        return Answer(response.status_code, response.reason_phrase, content_type, response.content)

    def _why_none(self) -> str:
        if not is_loopback(urlsplit(self._name).hostname or ""):
            return ""
        return " (the operator's token is sent only to the service that is running on this data directory)"


class _NotServed(Exception):
    """No service answers on the data directory; nothing was asked of any."""


class _OverSocket:
    """Asks the service that runs on a data directory, as its operator."""

    def __init__(self, data_dir: Path, directory: int, token: str) -> None:
        """Take the data directory, its descriptor, which is closed in the end, and the operator's token."""
        self._data_dir = data_dir
        self._directory = directory
        self._token = token

    @property
    def is_ready(self) -> bool:
        """Whether a service answers, and has gone through the configuration since its start."""
        try:
            return self._ask("GET", "/readyz", None, {}).status == 200
        except (_NotServed, OSError, HTTPException):
            return False

    def send(self, method: str, path: str, params: Mapping[str, Any], body: Any = None) -> Answer:
        """Return the answer, whatever its status."""
        content, headers = _as_body(body)
        try:
            return self._ask(method, _target(path, params), content, headers)
        except TimeoutError:
            raise CliError(f"the service on {self._data_dir} did not answer within {_SECONDS:.0f} s") from None
        except (OSError, HTTPException) as error:
            if method == "GET":
                raise _NotServed from None
            # Asked once more, it might do it twice.
            why = str(error) or type(error).__name__
            raise CliError(f"the service on {self._data_dir} stopped before it answered: {why}") from None

    def close(self) -> None:
        """Close what was opened."""
        os.close(self._directory)

    def _ask(self, method: str, target: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        # A connection for each request: the service closes those that wait, and a person may think for a while.
        connection = DoorConnection(self._directory, _SECONDS)
        try:
            try:
                connection.connect()
            except OSError:
                raise _NotServed from None
            connection.request(method, target, content, {"Authorization": f"Bearer {self._token}", **headers})
            response = connection.getresponse()
            content_type = response.getheader("Content-Type", "")
            return Answer(response.status, response.reason, content_type, response.read())
        finally:
            connection.close()


def _served(data_dir: Path) -> _OverSocket | None:
    try:
        token = (data_dir / "token").read_text(encoding="ascii").strip()
        service = _OverSocket(data_dir, open_directory(data_dir), token)
    except (OSError, ValueError):
        return None
    if service.is_ready:
        return service
    service.close()
    return None


class _InProcess:
    """Asks the API in this process, as the operator."""

    def __init__(self, settings: Settings) -> None:
        import asyncio

        from reconciler.local import local_app

        self._app = local_app(settings)
        self._runner = asyncio.Runner()

    def send(self, method: str, path: str, params: Mapping[str, Any], body: Any = None) -> Answer:
        """Return the answer, whatever its status."""
        return self._runner.run(self._call(method, _target(path, params), *_as_body(body)))

    def close(self) -> None:
        """Close the event loop and the store."""
        self._runner.close()
        self._app.state.ports.store.close()

    async def _call(self, method: str, target: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        import asyncio
        from http import HTTPStatus

        path, _, query = target.partition("?")
        given = {"Host": "localhost", "Authorization": f"Bearer {self._app.state.ports.operator_token}", **headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 0),
        }
        body: list[bytes] = []
        start: dict[str, Any] = {}
        requested, answered = False, asyncio.Event()

        async def receive() -> dict[str, Any]:
            nonlocal requested
            if requested:
                await answered.wait()
                return {"type": "http.disconnect"}
            requested = True
            return {"type": "http.request", "body": content or b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.append(message.get("body", b""))
                if not message.get("more_body", False):
                    answered.set()

        await self._app(scope, receive, send)
        content_type = dict(start["headers"]).get(b"content-type", b"").decode()
        return Answer(start["status"], HTTPStatus(start["status"]).phrase, content_type, b"".join(body))


class Local:
    """Asks the service on a data directory; where none runs, or none any more, the API in this process."""

    def __init__(self, data_dir: Path, settings: Callable[[], Settings]) -> None:
        """Take the data directory, and what reads all settings: only a command without a service needs them."""
        self._settings = settings
        self._in_process: _InProcess | None = None
        self._served = _served(data_dir)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._served, self._in_process):
            if each is not None:
                each.close()

    def send(self, method: str, path: str, params: Mapping[str, Any], body: Any = None) -> Answer:
        """Return the answer, whatever its status."""
        if self._served is not None:
            try:
                return self._served.send(method, path, params, body)
            except _NotServed:
                self._served.close()
                self._served = None
        if self._in_process is None:
            self._in_process = _InProcess(self._settings())
        return self._in_process.send(method, path, params, body)


def _as_body(body: Any) -> tuple[bytes | None, dict[str, str]]:
    """Return what is sent, and the headers that describe it."""
    if body is None or isinstance(body, bytes):
        return body, {}
    return json.dumps(body, ensure_ascii=False).encode(), {"Content-Type": _JSON}


def _target(path: str, params: Mapping[str, Any]) -> str:
    query = urlencode([(name, _text(value)) for name, given in params.items() for value in _each(given)])
    # What is escaped already stays so.
    return quote(path, safe="/%:@!$&'()*+,;=~") + (f"?{query}" if query else "")


def _each(given: Any) -> Iterable[Any]:
    return given if isinstance(given, list | tuple) else (given,)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
