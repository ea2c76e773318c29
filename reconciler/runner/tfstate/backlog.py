"""Versions of the tfstate (and unlocks) that wait on disk while the service is away, in the order they came in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from reconciler.runner.contract.directory import sync_directory, write_file


@dataclass(frozen=True, slots=True)
class Pending:
    """One request that could not be delivered. `query` is as the tool sent it, or empty.

    `ID=…` is the lock's id, `unit=…` the unit of the stack.
    """

    path: Path
    method: str
    query: str
    body: bytes = field(repr=False)


class Spool:
    """A directory of numbered files, one request each: a line of JSON, then the body as it came."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._last = max((int(path.name) for path in _files(directory)), default=0)

    def add(self, method: str, query: str, body: bytes) -> None:
        """Keep a request so that a power failure does not lose it; OSError when the disk does not take it."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / f"{self._last + 1:06d}"
        draft = path.with_suffix(".draft")
        head = json.dumps({"method": method, "query": query}).encode() + b"\n"
        try:
            write_file(draft, head + body, durable=True)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        draft.replace(path)
        sync_directory(self._directory)
        sync_directory(self._directory.parent)
        self._last += 1

    def newest_body(self, unit: str = "") -> bytes | None:
        """Return the latest version of a unit's tfstate that waits; None: none does."""
        for path in reversed(_files(self._directory)):
            pending = _read(path)
            if pending.method == "POST" and unit_of(pending.query) == unit:
                return pending.body
        return None


def unit_of(query: str) -> str:
    """Return the unit that a request is about; empty: the stack has only one tfstate."""
    return parse_qs(query).get("unit", [""])[0]


def pending_requests(directory: Path) -> Iterator[Pending]:
    """Read what waits, oldest first. Remove a request's `path` when it has been taken over."""
    for path in _files(directory):
        yield _read(path)


def anything_pending(directory: Path) -> bool:
    """Whether anything waits."""
    return bool(_files(directory))


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(directory / name for name in os.listdir(directory) if name.isdigit())  # noqa: PTH208 - names only
    except FileNotFoundError:
        return []


def _read(path: Path) -> Pending:
    head, _newline, body = path.read_bytes().partition(b"\n")
    described = json.loads(head)
    return Pending(path, described["method"], described["query"], body)
