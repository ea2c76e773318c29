"""The start of a service on 10,000 stacks that it already knows: read, check, compare; its memory, and it at rest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.harness import Figure, Limit, alternate, environment, timed
from bench.installations import installation
from bench.repositories import build
from bench.served import served

STACKS = 10_000
ROUNDS = 5
_SETTLE_SECONDS, _REST_SECONDS = 10, 30


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure a cold start against the bare YAML events of the same bytes, and the memory of `station serve`."""
    repository = build(scratch / "config.git", STACKS)
    data_dir = scratch / "data"
    with installation(repository.url, data_dir) as first:
        empty = timed(first.service.loop.look)
        first.settle()
    ours, unread, events = alternate(
        ROUNDS,
        lambda: _in_process("start", repository.url, data_dir)["seconds"],
        lambda: _in_process("unread", repository.url, data_dir)["seconds"],
        lambda: _in_process("events", repository.url, data_dir)["seconds"],
    )
    against = "bare C events of the same bytes"
    yield Figure("cold start on 10,000 stacks", ours, "s", events, against, 4)
    # As after an update to a version that reads files in another way.
    yield Figure("  where nothing is remembered of any file", unread, "s", events, against)
    yield Figure("  the first start of all, fetch included", empty, "s", events, against)
    restart, resident, at_rest = _serve(repository.url, data_dir, scratch, rest=_REST_SECONDS)
    yield Figure("memory of `station serve`, restarted", restart, "MB", limit=300, kind=Limit.AT_MOST)
    yield Figure("  resident after 30 s at rest", resident, "MB", limit=350, kind=Limit.AT_MOST)
    yield Figure("  of one processor, at rest for 30 s", at_rest, "%", limit=1, kind=Limit.AT_MOST)
    fresh, _, _ = _serve(repository.url, scratch / "fresh", scratch)
    yield Figure("  the first start of all, with runs", fresh, "MB", limit=300, kind=Limit.AT_MOST)


def _in_process(what: str, url: str, data_dir: Path) -> Any:
    code = f"from bench.cold_start import child; child({what!r}, {url!r}, {str(data_dir)!r})"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    return json.loads(done.stdout)


def child(what: str, url: str, data_dir: str) -> None:
    """Run one side of the comparison in this process, and print its seconds."""
    if what == "unread":
        for path in Path(data_dir).glob("readings.db*"):
            path.unlink()
    with installation(url, Path(data_dir)) as service:
        seconds = _events(list(service.files().values())) if what == "events" else service.catch_up()
    print(json.dumps({"seconds": seconds}))


def _events(files: list[bytes]) -> float:
    from _ruamel_yaml import CParser  # noqa: PLC0415 - one side of the contest alone needs it

    def parse() -> None:
        for data in files:
            next_event = CParser(data).get_event
            while next_event() is not None:
                pass

    return timed(parse)


def _serve(url: str, data_dir: Path, scratch: Path, rest: float = 0) -> tuple[float, float, float]:
    """Start the service, wait until it is ready, and scrape it.

    Return three figures: its peak memory in MB; its resident memory in MB after `rest` idle seconds; and the processor
    time that it used in these seconds, in percent of one processor.
    """
    with served(url, data_dir, scratch) as service:
        for path in ("/metrics", "/readyz"):
            urllib.request.urlopen(service.url + path, timeout=60).read()
        peak = _memory(service.pid, "VmHWM")
        if not rest:
            return peak, 0, 0
        time.sleep(_SETTLE_SECONDS)
        before = _seconds(service.pid)
        time.sleep(rest)
        return peak, _memory(service.pid, "VmRSS"), 100 * (_seconds(service.pid) - before) / rest


def _memory(pid: int, line: str) -> float:
    """Return a line about memory of a process' status, in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(rf"{line}:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def _seconds(pid: int) -> float:
    """Return the seconds of the processor that a process and its ended children have used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
