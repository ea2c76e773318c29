"""The API as commands use it: over HTTP, or the same app in this process on the local data directory."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import quote, urlsplit

import click
import httpx

from reconciler.cli.errors import CliError
from reconciler.cli.options import Common
from reconciler.cli.proving import listens_on, lock_holders
from reconciler.version import __version__
from spaces.names import is_name

_PREFIX = "/api/v1"
_PAGE = 1000
_SECONDS = 30.0


class Transport(Protocol):
    """Sends one request."""

    def send(self, method: str, path: str, params: Mapping[str, Any], body: Any = None) -> httpx.Response:
        """Give the answer, whatever its status."""


class Api:
    """Speaks to one service. Every method raises CliError with the service's own sentence."""

    def __init__(self, transport: Transport, *, remote: bool, attended: bool = True) -> None:
        self._transport = transport
        self.remote = remote
        self.attended = attended
        """Whether a service is there that carries out what is asked for."""

    def get(self, path: str, **params: Any) -> Any:
        """Read one thing."""
        return self._answer("GET", path, params)

    def post(self, path: str, body: Any = None, *, changes: bool = True) -> Any:
        """Ask for something to be done; `changes` False where nothing changes by it."""
        return self._answer("POST", path, {}, body, changes=changes)

    def delete(self, path: str) -> Any:
        """Ask for something to be taken away."""
        return self._answer("DELETE", path, {})

    def every(self, path: str, at_most: int | None = None, **params: Any) -> list[dict[str, Any]]:
        """Read a list, all of its pages."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while at_most is None or len(items) < at_most:
            limit = _PAGE if at_most is None else min(_PAGE, at_most - len(items))
            page = self._answer("GET", path, {**params, "limit": limit, "cursor": cursor})
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        return items

    def stack(self, text: str) -> str:
        """Give the path of a stack that is written as `space/name`, or as a name that only one stack has."""
        if "/" in text:
            space, _, name = text.partition("/")
            if not is_name(space) or not is_name(name):
                raise CliError(f"{text} is no stack's name: write it as space/name")
            return f"/stacks/{quote(space, safe='')}/{quote(name, safe='')}"
        found = [item["id"] for item in self.every("/stacks", q=f"/{text}") if item["name"] == text]
        if not found:
            raise CliError(f"there is no stack {text}")
        if len(found) > 1:
            raise CliError(f"{text} may be {' or '.join(found[:5])}: write it as space/name")
        return f"/stacks/{found[0]}"

    def run(self, text: str) -> str:
        """Give the path of a run, by its id or the beginning of it that no other run has."""
        if not text.isalnum() or not text.isascii() or len(text) > 26:
            raise CliError(f"there is no run {text}")
        found = self.every("/runs", at_most=2, prefix=text.lower())
        if not found:
            raise CliError(f"there is no run {text}")
        if len(found) > 1:
            raise CliError(f"{text} is the beginning of several runs: write more of it")
        return f"/runs/{found[0]['id']}"

    def _answer(
        self, method: str, path: str, params: Mapping[str, Any], body: Any = None, *, changes: bool = True
    ) -> Any:
        if method != "GET" and changes and not self.remote:
            click.echo("as the operator of the data directory", err=True)
        given = {name: value for name, value in params.items() if value is not None}
        response = self._transport.send(method, _PREFIX + path, given, body)
        if response.is_success:
            try:
                answer = response.json(object_hook=_Answer) if self.remote else response.json()
            except ValueError:
                answer = None
            if isinstance(answer, dict):
                return answer
            raise CliError("the answer is not one of a Stationkeeper: is this its URL?")
        raise CliError(_problem(response))


class _Answer(dict[str, Any]):
    """A part of what a service says. What it does not say at all, it does not know of."""

    def __missing__(self, key: str) -> Any:
        raise CliError(
            f"the service does not say {key!r}: it is older than this command ({__version__}), "
            "so update it, or use the command line of its version"
        )


@contextlib.contextmanager
def connect() -> Iterator[Api]:
    """Open the service that the flags and the environment name, for the running command."""
    common = click.get_current_context().ensure_object(Common)
    url = common.url or os.environ.get("STATION_URL")
    if url:
        with _Remote(url, _find_token(common, url)) as transport:
            yield Api(transport, remote=True)
    else:
        with _local(common) as transport:
            yield Api(transport, remote=False, attended=any(lock_holders(common.settings().data_dir / "lock")))


class _Remote:
    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CliError(f"{url} is not the URL of a service: it begins with http:// or https://")
        self._name = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._token = token
        self._client = httpx.Client(
            base_url=self._name.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=_SECONDS,
            # A proxy for the outside world is none for this machine.
            trust_env=not _is_loopback(parts.hostname),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(self, method: str, path: str, params: Mapping[str, Any], body: Any = None) -> httpx.Response:
        """Give the answer, whatever its status."""
        try:
            response = self._client.request(method, path, params=params, json=body)
        except httpx.TimeoutException:
            raise CliError(f"{self._name} does not answer in {_SECONDS:.0f} s") from None
        except httpx.HTTPError as error:
            raise CliError(f"{self._name} cannot be reached: {error}") from None
        if response.status_code == 401:
            why = "does not accept the token" if self._token else f"asks for a token{self._why_none()}"
            raise CliError(f"{self._name} {why}: set STATION_TOKEN or --token-file")
        return response

    def _why_none(self) -> str:
        if not _is_loopback(urlsplit(self._name).hostname or ""):
            return ""
        return ", and is not the service that holds the data directory, which alone gets the token in there"


class _InProcess:
    def __init__(self, app: Any, token: str) -> None:
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://localhost",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_SECONDS,
        )

    def send(self, method: str, path: str, params: Mapping[str, Any], body: Any = None) -> httpx.Response:
        """Give the answer, whatever its status."""
        return self._runner.run(self._client.request(method, path, params=params, json=body))

    def close(self) -> None:
        """Let go of the event loop."""
        self._runner.run(self._client.aclose())
        self._runner.close()


@contextlib.contextmanager
def _local(common: Common) -> Iterator[Transport]:
    settings = common.settings()
    if settings.database_url is None and not settings.data_dir.is_dir():
        raise CliError(
            f"there is no data directory {settings.data_dir}: name one with --data-dir, or a service with --url"
        )
    from reconciler.bootstrap import local_app

    app = local_app(settings)
    transport = _InProcess(app, app.state.ports.operator_token)
    try:
        yield transport
    finally:
        transport.close()
        app.state.ports.store.close()


def _find_token(common: Common, url: str) -> str | None:
    token = _shown_token(common, url)
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        # Never with the token itself: it may be a good one with something behind it.
        raise CliError("the token is not one of a Stationkeeper: look at STATION_TOKEN or --token-file")
    return token


def _shown_token(common: Common, url: str) -> str | None:
    if common.token_file is not None:
        return common.token_file.read_text(encoding="utf-8", errors="replace").strip()
    if token := os.environ.get("STATION_TOKEN", "").strip():
        return token
    if _is_loopback(urlsplit(url).hostname or ""):
        # The service of this machine's user has put it there.
        data_dir = common.settings().data_dir
        with contextlib.suppress(OSError):
            token = (data_dir / "token").read_text(encoding="utf-8").strip()
            return token if _is_service_of(data_dir, url) else None
    return None


def _is_service_of(data_dir: Path, url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return any(listens_on(pid, port) for pid in lock_holders(data_dir / "lock"))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _problem(response: httpx.Response) -> str:
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        try:
            return str(response.json()["detail"])
        except (ValueError, KeyError, TypeError):
            pass
    return f"the service answered {response.status_code} {response.reason_phrase}: is this its URL?"
