"""Simulated runners: `python -m bench.fleet_runners CONFIG` speaks the runner contract for workers that run nothing.

Each worker takes a leg up, with its tree, sends its end with a log, and asks again, as `station worker` does. The plan
finds changes, and its apply makes them. HTTP is spoken on bare sockets, so that the processors have time for the
services. What it does is said on standard output, one line of JSON a second, from the first leg on.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Action, Applied, Planned, ResourceChange
from reconciler.runner.contract.job import WITH_TREE, Ending, LegReport
from reconciler.runner.contract.records import report_to_data
from reconciler.version import __version__

_RUNNER = "/api/runner/v1"
_PAUSE = 0.5
_LOG = b"".join(b"line %d of what a tool prints\n" % number for number in range(20))


class Refused(Exception):
    """An answer that is no success; its first argument is the status."""


class Connection:
    """One connection that stays open; opened again where the service has gone and come back."""

    def __init__(self, url: str, pool: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._address = host, int(port)
        self.pool = pool
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, token: str, body: bytes = b"") -> tuple[bytes, float]:
        """Make a request; return the body of the answer and the seconds that it took. OSError, EOFError or Refused."""
        began = time.monotonic()
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        try:
            writer.write(
                f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
                f"Content-Type: application/json\r\nPrefer: {WITH_TREE}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            found = await self._body(reader, head)
        except BaseException:
            writer.close()
            self._streams = None
            raise
        status = int(head.split(" ", 2)[1])
        if not 200 <= status < 300:
            raise Refused(status, found[:200])
        return found, time.monotonic() - began

    @staticmethod
    async def _body(reader: asyncio.StreamReader, head: str) -> bytes:
        if "transfer-encoding: chunked" in head:
            found = b""
            while size := int(await reader.readline(), 16):
                found += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
            return found
        _, _, rest = head.partition("content-length: ")
        return await reader.readexactly(int(rest.partition("\r\n")[0])) if rest else b""


@dataclass(slots=True)
class Tally:
    """What all workers of this process did."""

    requests: int = 0
    legs: int = 0
    lost: int = 0
    problems: dict[str, int] = field(default_factory=dict)


def report(leg: dict[str, Any]) -> bytes:
    """Return how a leg ended that was never at work, with its log: a plan with one change, or its apply."""
    which = Leg(leg["leg"])
    plan = which is Leg.PLAN
    change = ResourceChange("script.this", "script", "script", Action.CREATE)
    told = LegReport(
        leg["run"],
        leg["attempt"],
        which,
        Ending.SUCCEEDED,
        "Planned" if plan else "Applied",
        "1 to create" if plan else "applied",
        Phase.PLAN if plan else Phase.APPLY,
        {Phase.PLAN if plan else Phase.APPLY: 0.5},
        planned=Planned(True, (change,)) if plan else None,
        applied=None if plan else Applied((), ()),
        plan_digest="0" * 64,
    )
    log = {"offset": 0 if plan else len(_LOG), "base64": b64encode(_LOG).decode()}
    return json.dumps(report_to_data(told) | {"log": log}).encode()


async def work(number: int, config: dict[str, Any], tally: Tally) -> None:
    """Be one worker, for ever."""
    service = config["services"][number % len(config["services"])]
    connection = Connection(service["url"], config["pool"])
    body = json.dumps({"worker": f"{config['name']}-{number}", "version": __version__, "kept": []}).encode()

    async def ask(method: str, path: str, token: str, sent: bytes = b"") -> bytes:
        tally.requests += 1
        return (await connection.ask(method, _RUNNER + path, token, sent))[0]

    while True:
        try:
            leg = json.loads(await ask("POST", f"/pools/{config['pool']}/claim", service["token"], body))["leg"]
            if leg is None:
                continue
            token = leg["token"]
            taken = json.loads(await ask("POST", f"/leg/take?worker={config['name']}-{number}", token))
            if leg["leg"] == "plan" and "tree" not in taken:
                await ask("GET", "/leg/tree", token)
            await asyncio.sleep(config["seconds"])
            await ask("POST", "/leg/end", token, report(leg))
            tally.legs += 1
        except (OSError, EOFError, Refused) as error:
            tally.lost += 1
            name = type(error).__name__ + (str(error.args[0]) if isinstance(error, Refused) else "")
            tally.problems[name] = tally.problems.get(name, 0) + 1
            await asyncio.sleep(_PAUSE)


async def main(config: dict[str, Any]) -> None:
    """Be all workers of the configuration, and say what they do."""
    tally = Tally()
    tasks = [asyncio.create_task(work(number, config, tally)) for number in range(config["workers"])]
    while not any(task.done() for task in tasks):
        await asyncio.sleep(1.0)
        said = {"requests": tally.requests, "legs": tally.legs, "lost": tally.lost, "problems": tally.problems}
        print(json.dumps(said), flush=True)
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
