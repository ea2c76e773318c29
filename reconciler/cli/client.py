"""The API as commands use it, wherever it is.

Every command that shows or changes something calls `connect` and speaks to the `Api` it yields. How its requests get
to the service is the business of `transports`, which is imported only then, so that `--help` stays quick.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from reconciler.cli.errors import CliError
from reconciler.cli.options import Common
from reconciler.cli.service_token import check_token, find_token, is_served
from reconciler.version import __version__
from spaces.names import is_name

if TYPE_CHECKING:
    from reconciler.cli.transports import Answer, Transport
    from reconciler.settings import Settings

_PREFIX = "/api/v1"
_PAGE = 1000
_RUN_ID = 26
"""The characters of a run's id."""


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
        if response.status == 409 and _said(response).get("reason") == pending:
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

    def _object(self, response: Answer) -> Any:
        """Return the object in an answer; CliError says why there is none."""
        if not response.is_success:
            raise CliError(_problem(response))
        try:
            answer = response.json(object_hook=_Object)
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            return answer
        raise CliError("the answer is not from a Stationkeeper service: check the URL")


class _Object(dict[str, Any]):
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
    from reconciler.cli.transports import Local, OverHttp

    common, url = click.get_current_context().ensure_object(Common), service_url()
    if url:
        with OverHttp(url, find_token(common, url)) as transport:
            yield Api(transport, remote=True)
    else:
        data_dir = common.directory()
        with Local(data_dir, partial(_readable, common)) as transport:
            yield Api(transport, remote=False, attended=is_served(data_dir))


@contextlib.contextmanager
def connect_as(url: str, token: str | None) -> Iterator[Api]:
    """Connect to a service with a token that was just typed, or without any."""
    from reconciler.cli.transports import OverHttp

    with OverHttp(url, None if token is None else check_token(token)) as transport:
        yield Api(transport, remote=True)


def _readable(common: Common) -> Settings:
    """Return the settings of a data directory that is there."""
    settings = common.settings()
    if settings.database_url is None and not settings.data_dir.is_dir():
        raise CliError(
            f"there is no data directory {settings.data_dir}: set --data-dir, or --url to use a running service"
        )
    return settings


def _problem(response: Answer) -> str:
    detail = _said(response).get("detail")
    if detail is not None:
        return str(detail)
    return f"the service answered {response.status} {response.reason}: check the URL"


def _said(response: Answer) -> Mapping[str, Any]:
    """Return what a service of ours says of a refusal; nothing where somebody else refused."""
    if response.content_type.startswith("application/problem+json"):
        with contextlib.suppress(ValueError):
            found = response.json()
            if isinstance(found, dict):
                return found
    return {}
