"""The time of whole commands: without any service, and on a data directory, with its service and alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.harness import Figure, Limit, alternate, environment, timed
from bench.installations import installation
from bench.repositories import build, files

ROUNDS = 5
STACKS = 1000
_STACK = "team-000/stack-00007"
_COMMANDS = {
    "status": "status",
    "stacks": "stacks -q stack-0000",
    "runs": "runs -n 20",
    "held list": "held list",
    "explain": f"explain {_STACK}",
    "stack get": f"stack get {_STACK}",
}
_AGAINST = "python -c pass"
_EXAMPLE = Path(__file__).parent.parent / "examples" / "repo"


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure whole processes, against a Python that does nothing."""
    where = _EXAMPLE if _EXAMPLE.is_dir() else _generate(scratch / "repo")
    nothing, help_, validate = alternate(ROUNDS, _nothing, _station("--help"), _station("validate", str(where)))
    yield Figure("station --help", help_, "s", nothing, _AGAINST, 0.15, Limit.AT_MOST)
    yield Figure("station validate, on the examples", validate, "s", nothing, _AGAINST, 0.5, Limit.AT_MOST)
    yield from _on_a_data_directory(scratch)


def _on_a_data_directory(scratch: Path) -> Iterator[Figure]:
    """Measure commands on a data directory of many stacks. Without a service they load one themselves."""
    data_dir, url = scratch / "data", build(scratch / "config.git", STACKS).url
    with installation(url, data_dir) as first:
        first.service.loop.look()
        first.settle()
    commands = {name: _station(*words.split(), "--data-dir", str(data_dir)) for name, words in _COMMANDS.items()}
    with installation(url, data_dir) as again:
        again.service.loop.look()
        again.service.server.url()
        yield from _each("with its service", commands, 0.4)
    yield from _each("alone", commands, None)


def _each(title: str, commands: Mapping[str, Callable[[], float]], limit: float | None) -> Iterator[Figure]:
    nothing, *taken = alternate(ROUNDS, _nothing, *commands.values())
    for name, seconds in zip(commands, taken, strict=True):
        yield Figure(f"station {name}, {title}", seconds, "s", nothing, _AGAINST, limit, Limit.AT_MOST)


def _nothing() -> float:
    return _run([sys.executable, "-c", "pass"])


def _station(*arguments: str) -> Callable[[], float]:
    return lambda: _run([str(Path(sys.executable).with_name("station")), *arguments])


def _run(command: Sequence[str]) -> float:
    # What pip installs is compiled to bytecode, and what lies in a checkout by the first round, unless this forbids it.
    given = {key: value for key, value in environment().items() if key != "PYTHONDONTWRITEBYTECODE"}
    return timed(lambda: subprocess.run(command, check=True, capture_output=True, env=given))


def _generate(directory: Path) -> Path:
    for path, data in files(10):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    return directory
