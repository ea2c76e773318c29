"""Admission of one changed stack among 10,000, with nothing held and with 500 documents held."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench.harness import Figure, Limit, timed
from rbac.access.subjects import user
from rbac.admission.admit import Admission, Commit, admit
from rbac.admission.settings import Rules
from rbac.identity import Admins, IdentityMode, Person
from spaces.names import Revision

SPACES, STACKS, HELD = 1_000, 10, 500
NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULES = Rules(Admins.parse(["ada"], IdentityMode.SIGNED))
ROUNDS = 15


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure one step of admission, by somebody with the right."""
    _ = scratch
    free = _admit(None, _files(), "ada")
    held = _admit(free, {_path(n): _file(n, "evil") for n in range(HELD // STACKS)}, "mallory")
    if len(held.held_changes) != HELD:
        raise SystemExit(f"{len(held.held_changes)} documents are held")
    first = _step(free)
    yield Figure("one stack of 10,000 admitted", first, "ms", limit=50, kind=Limit.AT_MOST)
    yield Figure("  while 500 documents are held", _step(held), "ms", limit=50, kind=Limit.AT_MOST)
    yield Figure("  in a file with held documents", _step(held, 3), "ms", limit=50, kind=Limit.AT_MOST)


def _step(before: Admission, number: int = 700) -> float:
    """Return the milliseconds of a step that changes one stack; the median of several."""
    word = "evil" if number < HELD // STACKS and before.held_changes else "1"
    data = _file(number, word).replace(b'"3"', b'"4"', 1)
    return statistics.median(timed(partial(_admit, before, {_path(number): data}, "olga")) for _ in range(ROUNDS)) * 1e3


def _admit(before: Admission | None, changed: Mapping[str, bytes], name: str) -> Admission:
    found = admit(before, Commit(Revision(name.ljust(40, "0")), changed, Person(user(name), "")), RULES, NOW)
    if not isinstance(found, Admission):
        raise SystemExit(f"a commit of {name} was not admitted: {found}")
    return found


def _files() -> dict[str, bytes]:
    files = {_path(number): _file(number, "1") for number in range(SPACES)}
    files |= {f"s{n}/space.yaml": _document("Space", f"s{n}", {"inherit": True}) for n in range(SPACES)}
    files["users.yaml"] = b"---\n".join(_document("User", name, {}) for name in ("ada", "olga", "mallory"))
    subjects = [{"user": "olga"}]
    files["roles.yaml"] = _document("RoleBinding", "olga", {"role": "writer", "subjects": subjects})
    return files


def _path(number: int) -> str:
    return f"s{number}/stacks.yaml"


def _file(number: int, word: str) -> bytes:
    return b"---\n".join(
        _document(
            "Stack",
            f"stack-{number}-{n}",
            {"tool": "script", "script": {"apply": "true"}, "env": {"A": word, "B": "3"}},
        )
        for n in range(STACKS)
    )


def _document(kind: str, name: str, spec: Mapping[str, Any]) -> bytes:
    head = {"apiVersion": "stationkeeper/v1", "kind": kind, "metadata": {"name": name}}
    return json.dumps(head | {"spec": spec}).encode() + b"\n"
