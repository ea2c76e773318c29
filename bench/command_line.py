"""The time of commands that need no service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.harness import Figure, Limit, alternate, environment, timed
from bench.repositories import files

ROUNDS = 9
_EXAMPLE = Path(__file__).parent.parent / "examples" / "repo"


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure whole processes, against a Python that does nothing."""
    station = str(Path(sys.executable).with_name("station"))
    where = _EXAMPLE if _EXAMPLE.is_dir() else _generate(scratch / "repo")
    nothing, help_, validate = alternate(
        ROUNDS,
        lambda: _run([sys.executable, "-c", "pass"]),
        lambda: _run([station, "--help"]),
        lambda: _run([station, "validate", str(where)]),
    )
    against = "python -c pass"
    yield Figure("station --help", help_, "s", nothing, against, 0.15, Limit.AT_MOST)
    yield Figure("station validate, on the examples", validate, "s", nothing, against, 0.5, Limit.AT_MOST)


def _run(command: Sequence[str]) -> float:
    # What pip installs is compiled to bytecode, and what lies in a checkout by the first round, unless this forbids it.
    given = {key: value for key, value in environment().items() if key != "PYTHONDONTWRITEBYTECODE"}
    return timed(lambda: subprocess.run(command, check=True, capture_output=True, env=given))


def _generate(directory: Path) -> Path:
    for path, data in files(10):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    return directory
