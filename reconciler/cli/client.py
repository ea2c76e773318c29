"""The API as commands use it: over HTTP, or the same app in this process on the local data directory.

Every command that shows or changes something calls `connect` and speaks to the `Api` it yields. The modules that
make requests are imported only then, so that `--help` stays quick.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote, urlsplit

import click

from reconciler.cli.errors import CliError
from reconciler.cli.options import Common
from reconciler.cli.service_token import check_token, find_token, is_loopback, is_served
from reconciler.version import __version__
from spaces.names import is_name

if TYPE_CHECKING:
    import httpx

_PREFIX = "/api/v1"
_PAGE = 1000
_SECONDS = 30.0
_RUN_ID = 26
"""The characters of a run's id."""


class Transport(Protocol):
    """Sends one request."""

    def send(self, method: str, path: str, params: Mapping[str, Any], body: Any = None) -> httpx.Response:
        """Return the answer, whatever its status."""


class Api:
    """Speaks to one service. Every method raises CliError with the service's own message."""

    def __init__(self, transport: Transport, *, remote: bool, attended: bool = True) -> None:
        self._transport = transport
        self.remote = remote
        self._told = False
        self.attended = attended
        """Whether a service is running that carries out requests."""

    def get(self, path: str, **params: Any) -> Any:
        """Return what the service has at a path."""
        return self._answer("GET", path, params)

    def published(self, name: str) -> Any:
        """Return a document that the service publishes for everybody."""
        return self._answer("GET", f"/.well-known/{name}", {}, prefix="")

    def post(self, path: str, body: Any = None, *, changes: bool = True) -> Any:
        """Post a request and return the answer; `changes` is False for a request that changes nothing."""
        return self._answer("POST", path, {}, body, changes=changes)

    def ask(self, method: str, path: str, params: Mapping[str, Any], body: bytes | None = None) -> bytes:
        """Send any request and return the answer as bytes."""
        self._tell_who(method)
        response = self._transport.send(method, _PREFIX + path, params, body)
        if not response.is_success:
            raise CliError(_problem(response))
        return response.content

    def post_unless(self, path: str, body: Any, pending: str) -> Any | None:
        """Post a request and return the answer; None where the service refuses for this reason."""
        response = self._transport.send("POST", _PREFIX + path, {}, body)
        if response.status_code == 409 and _said(response).get("reason") == pending:
            return None
        return self._object(response)

    def push(self, path: str, body: bytes, **params: Any) -> Any:
        """Post bytes as they are, and return the answer."""
        return self._answer("POST", path, params, body)

    def pull(self, path: str) -> bytes:
        """Return what the service has at a path, as bytes."""
        return self.ask("GET", path, {})

    def delete(self, path: str, **params: Any) -> Any:
        """Delete what is at a path and return it."""
        return self._answer("DELETE", path, params)

    def every(self, path: str, at_most: int | None = None, **params: Any) -> list[dict[str, Any]]:
        """Return a whole list, from all of its pages, or its first `at_most` items."""
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
        """Return the path of a stack, from `space/name` or a name that only one stack has."""
        if "/" in text:
            space, _, name = text.partition("/")
            if not is_name(space) or not is_name(name):
                raise CliError(f"{text} is not the name of a stack: write space/name")
            return f"/stacks/{quote(space, safe='')}/{quote(name, safe='')}"
        found = [item["id"] for item in self.every("/stacks", q=f"/{text}") if item["name"] == text]
        if not found:
            raise CliError(f"there is no stack {text}")
        if len(found) > 1:
            raise CliError(f"several stacks are named {text}: write {' or '.join(found[:5])}")
        return f"/stacks/{found[0]}"

    def run(self, text: str) -> str:
        """Return the path of a run, from its id, or a beginning or an end of it that no other run shares.

        Ids begin with the time, so that runs of one moment differ only at their ends.
        """
        if not text.isalnum() or not text.isascii() or len(text) > _RUN_ID:
            raise CliError(f"there is no run {text}")
        part = text.lower()
        found = {run["id"] for run in self.every("/runs", at_most=2, prefix=part)}
        if len(part) < _RUN_ID:
            found |= {run["id"] for run in self.every("/runs", at_most=2, ending=part)}
        if not found:
            raise CliError(f"there is no run {text}")
        if len(found) > 1:
            some = " and ".join(sorted(found)[:2])
            raise CliError(f"the ids of several runs begin or end with {text}, such as {some}: write more of it")
        return f"/runs/{found.pop()}"

    def part_of(self, path: str, text: str, what: str) -> str:
        """Return the path of something with an id in a list, from the id or a beginning of it that no other shares."""
        found = sorted(item["id"] for item in self.every(path) if text and item["id"].startswith(text))
        if not found:
            raise CliError(f"there is no {what} {text}")
        if len(found) > 1 and text not in found:
            some = " and ".join(found[:2])
            raise CliError(f"the ids of several {what}s begin with {text}, such as {some}: write more of it")
        # The whole id sorts before longer ones that begin with it.
        return f"{path}/{quote(found[0], safe='')}"

    def _tell_who(self, method: str) -> None:
        if method != "GET" and not self.remote and not self._told:
            click.echo("acting as the operator of the data directory", err=True)
            self._told = True

    def _answer(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any],
        body: Any = None,
        *,
        changes: bool = True,
        prefix: str = _PREFIX,
    ) -> Any:
        if changes:
            self._tell_who(method)
        given = {name: value for name, value in params.items() if value is not None}
        return self._object(self._transport.send(method, prefix + path, given, body))

    def _object(self, response: httpx.Response) -> Any:
        """Return the object in an answer; CliError says why there is none."""
        if not response.is_success:
            raise CliError(_problem(response))
        try:
            answer = response.json(object_hook=_Answer) if self.remote else response.json()
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            return answer
        raise CliError("the answer is not from a Stationkeeper service: check the URL")


class _Answer(dict[str, Any]):
    """An object in an answer. A key that the service left out is one that its version does not know."""

    def __missing__(self, key: str) -> Any:
        raise CliError(
            f"the service's answer lacks {key!r}: it is older than this command ({__version__}). "
            "Update the service, or use the command of its version"
        )


def service_url() -> str | None:
    """Return the URL of the service that the flags of the running command or the environment name."""
    return click.get_current_context().ensure_object(Common).url or os.environ.get("STATION_URL") or None


@contextlib.contextmanager
def connect() -> Iterator[Api]:
    """Connect the running command to the service that its flags and the environment name."""
    common, url = click.get_current_context().ensure_object(Common), service_url()
    if url:
        with _Remote(url, find_token(common, url)) as transport:
            yield Api(transport, remote=True)
    else:
        with _local(common) as transport:
            yield Api(transport, remote=False, attended=is_served(common.settings().data_dir))


@contextlib.contextmanager
def connect_as(url: str, token: str | None) -> Iterator[Api]:
    """Connect to a service with a token that was just typed, or without any."""
    with _Remote(url, None if token is None else check_token(token)) as transport:
        yield Api(transport, remote=True)


class _Remote:
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

    def send(self, method: str, path: str, params: Mapping[str, Any], body: Any = None) -> httpx.Response:
        """Return the answer, whatever its status."""
        import httpx

        try:
            response = self._client.request(method, path, params=params, **_as_body(body))
        except httpx.TimeoutException:
            raise CliError(f"{self._name} did not answer within {_SECONDS:.0f} s") from None
        except httpx.HTTPError as error:
            raise CliError(f"{self._name} cannot be reached: {error}") from None
        if response.status_code == 401:
            why = "rejected the token" if self._token else f"requires a token{self._why_none()}"
            raise CliError(f"{self._name} {why}: set STATION_TOKEN or --token-file, or run station login")
        return response

    def _why_none(self) -> str:
        if not is_loopback(urlsplit(self._name).hostname or ""):
            return ""
        return " (the operator's token is sent only to the service that is running on this data directory)"


class _InProcess:
    def __init__(self, app: Any, token: str) -> None:
        import asyncio

        import httpx

        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://localhost",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_SECONDS,
        )

    def send(self, method: str, path: str, params: Mapping[str, Any], body: Any = None) -> httpx.Response:
        """Return the answer, whatever its status."""
        return self._runner.run(self._client.request(method, path, params=params, **_as_body(body)))

    def close(self) -> None:
        """Close the client and its event loop."""
        self._runner.run(self._client.aclose())
        self._runner.close()


@contextlib.contextmanager
def _local(common: Common) -> Iterator[Transport]:
    settings = common.settings()
    if settings.database_url is None and not settings.data_dir.is_dir():
        raise CliError(
            f"there is no data directory {settings.data_dir}: set --data-dir, or --url to use a running service"
        )
    from reconciler.bootstrap import local_app

    app = local_app(settings)
    transport = _InProcess(app, app.state.ports.operator_token)
    try:
        yield transport
    finally:
        transport.close()
        app.state.ports.store.close()


def _as_body(body: Any) -> dict[str, Any]:
    return {"content": body} if isinstance(body, bytes) else {"json": body}


def _problem(response: httpx.Response) -> str:
    detail = _said(response).get("detail")
    if detail is not None:
        return str(detail)
    return f"the service answered {response.status_code} {response.reason_phrase}: check the URL"


def _said(response: httpx.Response) -> Mapping[str, Any]:
    """Return what a service of ours says of a refusal; nothing where somebody else refused."""
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        with contextlib.suppress(ValueError):
            found = response.json()
            if isinstance(found, dict):
                return found
    return {}
