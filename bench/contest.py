"""A stack's run, from the fetched commit to `Synced`, against the bare commands of its tool in such a directory."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

from bench.harness import Figure, Limit, alternate, environment
from bench.installations import Installation, installation
from bench.processes import Meter
from bench.repositories import Repository
from reconciler.core.runs import Run
from reconciler.core.state import Sync

ADDED = 0.15
"""Processor seconds that a run may add to its tool's own."""
LONGER = 1.3
"""How much longer a run may take than the bare commands."""

Command = Sequence[str]


@dataclass(frozen=True, slots=True)
class Peer:
    """What is run in both ways, each time anew: `files` and `commands` are those of a round, by its number."""

    name: str
    tool: str
    files: Callable[[int], Mapping[str, str]]
    commands: Callable[[int], Sequence[Command]]
    spec: Callable[[int], Mapping[str, Any]] = lambda _: {}
    env: Mapping[str, str] = field(default_factory=dict)
    """The environment of the bare commands, which have their directory's `home` as HOME."""
    against: str = ""
    """The bare commands in a few words."""
    longer: float = LONGER


def measure(scratch: Path, peer: Peer, rounds: int) -> Iterator[Figure]:
    """Measure rounds, each of which creates a new stack.

    Processor time is measured in separate runs: sampling /proc every few milliseconds takes a part of a processor that
    the timed runs would miss. Tools take more of their own time beside it, so the bare ones run beside it as well.
    """
    repository = Repository.create(scratch / "config.git")
    with installation(repository.url, scratch / "data") as service:
        contest = _Contest(scratch, repository, service, peer)
        ours, bare, _ = alternate(rounds, contest.ours, contest.bare, contest.metered)
    added, cpu = (statistics.median(seconds[1:]) for seconds in (contest.added, contest.bare_cpu))
    yield Figure(f"{peer.name}, the whole run", ours, "s", bare, peer.against, peer.longer)
    yield Figure("  processor time that we add", added, "s", cpu, "that of the bare commands", ADDED, Limit.AT_MOST)


class _Contest:
    def __init__(self, scratch: Path, repository: Repository, service: Installation, peer: Peer) -> None:
        self._scratch = scratch
        self._repository = repository
        self._service = service
        self._peer = peer
        self._numbers = count(1)
        self._bare_numbers = count(1)
        self.added: list[float] = []
        """Processor seconds of each of our runs, less those of the bare ones of the same round."""
        self.bare_cpu: list[float] = []

    def ours(self) -> float:
        """Return the seconds of our run, from the fetched commit to `Synced`."""
        return self._ours(nullcontext())

    def metered(self) -> float:
        """Return the processor seconds of such a run."""
        with Meter():
            self.bare()
        meter = Meter()
        self._ours(meter)
        self.added.append(meter.seconds - self.bare_cpu[-1])
        return meter.seconds

    def bare(self) -> float:
        """Return the seconds of the bare commands."""
        number = next(self._bare_numbers)
        directory = self._scratch / f"bare-{number}"
        home = directory / "home"
        home.mkdir(parents=True)
        for name, content in self._peer.files(-number).items():
            file = directory / "work" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        env = environment(HOME=str(home), **self._peer.env)
        before = getrusage(RUSAGE_CHILDREN)
        started = time.perf_counter()
        for command in self._peer.commands(-number):
            self._do(command, directory / "work", env)
        seconds = time.perf_counter() - started
        after = getrusage(RUSAGE_CHILDREN)
        self.bare_cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return seconds

    def _do(self, command: Command, directory: Path, env: Mapping[str, str]) -> None:
        done = subprocess.run(command, cwd=directory, env=env, capture_output=True, check=False)
        if done.returncode not in {0, 2}:
            raise AssertionError(f"{command}: {done.stdout.decode()}{done.stderr.decode()}")

    def _ours(self, meter: Any) -> float:
        number = next(self._numbers)
        name = f"stack-{number}"
        spec = {"tool": self._peer.tool, "source": {"path": f"./{name}"}, **self._peer.spec(number)}
        head = f"apiVersion: stationkeeper/v1\nkind: Stack\nmetadata: {{name: {name}}}\n"
        files = {f"{name}/{path}": text for path, text in self._peer.files(number).items()}
        files[f"{name}.yaml"] = f"{head}spec: {json.dumps(spec)}\n"
        self._repository.commit({path: text.encode() for path, text in files.items()})
        loop = self._service.service.loop
        loop.look()
        ended: list[float] = []

        def note(run: Run) -> None:
            # It is told when the end is in the store. What is put away after that nobody waits for.
            if not run.is_active:
                ended.append(time.perf_counter())

        loop.watching = note
        with meter:
            started = time.perf_counter()
            loop.settle()
        self._check()
        return ended[-1] - started

    def _check(self) -> None:
        with self._service.service.store.reading() as reading:
            lagging = [stack for stack, state in reading.stacks().items() if state.sync is not Sync.SYNCED]
            last = reading.last_runs(lagging)
        if lagging:
            why = last[lagging[0]].message if lagging[0] in last else "it has no run"
            raise AssertionError(f"{lagging[0]} did not become Synced: {why}")
