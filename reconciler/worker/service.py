"""What a worker says to its service: the runner API over HTTP."""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from reconciler.engine.ends import LegId
from reconciler.runner.contract.job import WITH_TREE, LegReport
from reconciler.runner.contract.records import report_to_data, to_line
from reconciler.version import __version__

_PREFIX = "/api/runner/v1"
_SECONDS = 15.0
_POLL_SECONDS = 40.0
_SAVING_SECONDS = 60.0
_MISDIRECTED = 15
"""How often a request is sent again at most that reached a service which does not have the leg."""
_PAUSE = 0.1
_PIECE = 512 * 1024

Tools = Mapping[str, list[str]]
"""Tools by name, each with its versions."""


class Away(Exception):
    """The service did not answer, or not for itself, or not what was asked; the same request may succeed later."""


class Lost(Exception):
    """The leg is not this worker's any more: it ended, was withdrawn, or its lease was lost."""


class NotSaved(Exception):
    """The service cannot keep what a plan leaves to its apply; the message is one line for the run."""


class Rejected(Exception):
    """The service refuses the worker itself; the message is one line for its operator."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A leg that the service offers, with the token that opens it."""

    run: str
    attempt: int
    leg: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """What a leg is to do, as JSON of the runner's own; how it reaches its tfstate; and the lease, in seconds."""

    order: Mapping[str, Any] = field(repr=False)
    tfstate: Mapping[str, str] | None = field(repr=False)
    lease: float
    saved: str | None = None
    """The SHA-256 of what the plan left, for its apply; None: the service does not have it."""
    saves: bool = True
    """Whether an apply may follow, for which what a plan leaves is to be sent."""
    token: str | None = field(default=None, repr=False)
    """The token of the leg from now on; None: that by which it was taken."""
    tree: bytes | None = field(default=None, repr=False)
    """What a plan begins with, as a tar file; None: it is to be fetched."""


class _Client(httpx.Client):
    """Asks again where a proxy in front of several services has passed a request to one that does not have the leg."""

    def send(self, request: httpx.Request, **more: Any) -> httpx.Response:
        """Send a request, and once more for each answer that it should have gone elsewhere."""
        for _ in range(_MISDIRECTED):
            answer = super().send(request, **more)
            if answer.status_code != 421 or not isinstance(request.stream, httpx.ByteStream):
                return answer
            answer.close()
            time.sleep(_PAUSE)
        return super().send(request, **more)


class ServiceClient:
    """One service. Any thread may call any method."""

    def __init__(self, url: str, token: str, *, trust_env: bool = True) -> None:
        self.client = _Client(base_url=url.rstrip("/"), timeout=_SECONDS, trust_env=trust_env)
        self._token = token

    def claim(
        self, pool: str, worker: str, kept: list[str], *, places: int = 1, tools: Tools | None = None
    ) -> tuple[Offered | None, list[str]]:
        """Wait for a leg to do; returns it, and which of the `kept` runs are over. Away, or Rejected for good.

        `tools` are those that runs find on this machine; None while that is not known.
        """
        body = {"worker": worker, "version": __version__, "kept": kept, "places": places, "tools": tools}
        said = self._of_pool(pool, "claim", body, _POLL_SECONDS)
        return _offered(said), said["over"]

    def claim_wanted(
        self, pool: str, worker: str, which: LegId, *, places: int, tools: Tools | None
    ) -> tuple[Offered | None, bool]:
        """Claim the leg that a message named. Away, or Rejected for good.

        Returns it, and whether it waits for another worker.
        """
        wanted = {"run": which.run, "attempt": which.attempt, "leg": which.leg}
        body = {"worker": worker, "version": __version__, "places": places, "tools": tools, "wanted": wanted}
        said = self._of_pool(pool, "claim", body, _SECONDS)
        return _offered(said), bool(said["elsewhere"])

    def greet(
        self, pool: str, worker: str, kept: list[str], *, places: int, tools: Tools | None
    ) -> tuple[str, float, list[str]]:
        """Say that the worker is there. Away, or Rejected for good.

        Returns the pool's engine, after how many seconds to say it again, and which of the `kept` runs are over.
        """
        body = {"worker": worker, "version": __version__, "kept": kept, "places": places, "tools": tools}
        said = self._of_pool(pool, "hello", body, _SECONDS)
        return said["engine"], float(said["again"]), said["over"]

    def take(self, token: str, worker: str, *, fresh: bool = False) -> Order:
        """Take a leg up; Lost where somebody else did, or nobody may. `fresh`: with a token of its own from now on."""
        asked = {"worker": worker, **({"fresh": "true"} if fresh else {})}
        answer = self._of_leg("POST", "/take", token, params=asked, prefer=WITH_TREE)
        said = _json(answer)
        own, tree = answer.headers.get("Station-Token"), said.get("tree")
        packed = None if tree is None else b64decode(tree)
        return Order(said["order"], said["tfstate"], float(said["lease"]), said["saved"], said["saves"], own, packed)

    @contextmanager
    def tree(self, token: str) -> Iterator[Iterator[bytes] | None]:
        """Open what the leg begins with as a stream of a tar file; None: there is none to get."""
        try:
            with self.client.stream("GET", f"{_PREFIX}/leg/tree", headers=_bearer(token)) as answer:
                if answer.status_code not in {200, 204}:
                    answer.read()
                    _json(answer)
                yield None if answer.status_code == 204 else answer.iter_bytes()
        except httpx.HTTPError as error:
            raise _unreachable(error) from None

    def save(self, token: str, pieces: Iterator[bytes]) -> None:
        """Send what a plan leaves to its apply; NotSaved where the service cannot keep it."""
        answer = self._of_leg("PUT", "/saved", token, content=pieces, timeout=_SAVING_SECONDS)
        if answer.status_code in {413, 507}:
            raise NotSaved(_detail(answer))
        _json(answer)

    def beat(self, token: str) -> tuple[bool, Mapping[str, str]]:
        """Keep a leg; returns whether to stop its tool, and new tokens of its identity."""
        said = _json(self._of_leg("POST", "/beat", token))
        return said["cancel"], said["tokens"]

    def log(self, token: str, path: Path, offset: int) -> int:
        """Send what the log has from `offset` on; returns how much of it the service has then."""
        while True:
            with path.open("rb") as file:
                file.seek(offset)
                piece = file.read(_PIECE)
            if not piece:
                return offset
            said = _json(self._of_leg("POST", "/log", token, params={"offset": offset}, content=piece))
            offset = int(said["size"])

    def end(self, token: str, report: LegReport, log: Path, offset: int) -> None:
        """Say how a leg ended, with what its log has from `offset` on; OSError where that cannot be read."""
        data, rest = report_to_data(report), b""
        if log.exists():
            with log.open("rb") as file:
                file.seek(offset)
                rest = file.read(_PIECE + 1)
        if len(rest) > _PIECE:
            self.log(token, log, offset)
        elif rest:
            data["log"] = {"offset": offset, "base64": b64encode(rest).decode()}
        _json(self._of_leg("POST", "/end", token, content=to_line(data)))

    def relay(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """Pass on a request of a tool about its tfstate, with its own token."""
        try:
            return self.client.request(method, path, headers=dict(headers), content=body, timeout=60.0)
        except httpx.HTTPError as error:
            raise _unreachable(error) from None

    def close(self) -> None:
        """Close all connections."""
        self.client.close()

    def _of_pool(self, pool: str, path: str, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        answer = self._send("POST", f"/pools/{pool}/{path}", self._token, json=body, timeout=seconds)
        if answer.status_code == 404:
            # The service may know of the pool only when it has read its configuration.
            raise Away(_detail(answer))
        if answer.status_code in {400, 401, 409, 422}:
            raise Rejected(_detail(answer))
        return _json(answer)

    def _of_leg(self, method: str, path: str, token: str, **more: Any) -> httpx.Response:
        answer = self._send(method, f"/leg{path}", token, **more)
        if answer.status_code in {401, 404, 410}:
            raise Lost(_detail(answer))
        return answer

    def _send(self, method: str, path: str, token: str, *, prefer: str | None = None, **more: Any) -> httpx.Response:
        headers = _bearer(token) | ({} if prefer is None else {"Prefer": prefer})
        try:
            return self.client.request(method, _PREFIX + path, headers=headers, **more)
        except httpx.HTTPError as error:
            raise _unreachable(error) from None


def _unreachable(error: httpx.HTTPError) -> Away:
    # Why matters to whoever has just set the worker up: a wrong port, a certificate that nobody trusts.
    why = " ".join(str(error).split()) or type(error).__name__
    return Away(f"the service cannot be reached: {why}")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _offered(said: Mapping[str, Any]) -> Offered | None:
    leg = said["leg"]
    return None if leg is None else Offered(leg["run"], leg["attempt"], leg["leg"], leg["token"])


def _json(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code == 410:
        raise Lost(_detail(answer))
    if not answer.is_success:
        # Whatever stands in front of the service may answer in its place while it restarts.
        raise Away(f"status {answer.status_code}")
    try:
        said = answer.json()
    except ValueError:
        raise Away("an answer that is not the service's") from None
    if not isinstance(said, dict):
        raise Away("an answer that is not the service's")
    return said


def _detail(answer: httpx.Response) -> str:
    try:
        said = json.loads(answer.content)
    except ValueError:
        said = None
    detail = said.get("detail") if isinstance(said, dict) else None
    return str(detail or f"the service answered {answer.status_code}: check the URL")
