"""The directory of one run: what lies where, and how it is claimed and recorded so that a kill at any point is seen."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.core.phases import Leg
from reconciler.runner.contract.job import TOKEN, LegReport
from reconciler.runner.contract.process_id import ProcessIdentity
from reconciler.runner.contract.records import report_from_data, report_to_data, to_line
from reconciler.runner.contract.removing import inside, remove
from reconciler.tools.base import SHOWN_PLAN


def write_file(path: Path, data: bytes, *, durable: bool) -> None:
    """Write a file of mode 0600, never through a link; `durable`: its content is on the disk before this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Bring a directory's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,300}")
_STARTED = re.compile(rf"({'|'.join(Leg)})-([0-9]{{1,9}})\.started")
_RECORD = re.compile(rf"({'|'.join(Leg)})-([0-9]{{1,9}})\.exit\.json")


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """`root` is the directory itself, mode 0700; everything that belongs to the run is below it."""

    root: Path

    @classmethod
    def of(cls, data_dir: Path, run: str) -> RunDirectory:
        """Return where a run lives; ValueError for a name that could lead elsewhere."""
        if not _RUN.fullmatch(run):
            raise ValueError(f"not a run's name: {run!r}")
        return cls(data_dir / "runs" / run)

    @property
    def work(self) -> Path:
        """The checkout."""
        return self.root / "work"

    @property
    def scratch(self) -> Path:
        """The saved plan and what else the adapter keeps between the legs."""
        return self.root / "scratch"

    @property
    def home(self) -> Path:
        """The tool's HOME."""
        return self.root / "home"

    @property
    def git(self) -> Path:
        """What Git needs to sign in, while a leg is at work: seen by commands, and never written by them."""
        return self.root / "git"

    @property
    def packages(self) -> Path:
        """What the run uses of the packages that all stacks share: seen by commands, and never written by them."""
        return self.root / "packages"

    @property
    def temporary(self) -> Path:
        """The tool's TMPDIR."""
        return self.root / "tmp"

    @property
    def log(self) -> Path:
        """Everything that was printed, masked."""
        return self.root / "log"

    @property
    def planned(self) -> Path:
        """What the plan leg found, out of the tool's reach: part of the plan's digest."""
        return self.root / "planned.json"

    @property
    def cancel(self) -> Path:
        """Exists when the run shall stop."""
        return self.root / "cancel"

    @property
    def lease(self) -> Path:
        """When the run was allowed to go on last, by the clock that no one sets, in seconds since the boot."""
        return self.root / "lease"

    def renew_lease(self) -> None:
        """Let the run go on for another while."""
        draft = self.root / f".lease.{os.getpid()}.draft"
        write_file(draft, str(time.clock_gettime(time.CLOCK_BOOTTIME)).encode(), durable=False)
        draft.replace(self.lease)

    def lease_age(self) -> float:
        """Return for how many seconds nobody has renewed the lease; infinite where there is none."""
        try:
            return time.clock_gettime(time.CLOCK_BOOTTIME) - float(self.lease.read_bytes())
        except (OSError, ValueError):
            return float("inf")

    @property
    def identity(self) -> Path:
        """The files by which the run proves who it is, read-only to its commands."""
        return self.root / "identity"

    def tokens(self) -> dict[str, str]:
        """Read the run's tokens, by the names of their files; nothing while no leg is at work."""
        found = {}
        with contextlib.suppress(OSError):
            for path in self.identity.iterdir():
                if path.name.endswith(TOKEN) and _FILE.fullmatch(path.name):
                    found[path.name] = path.read_text(encoding="ascii", errors="replace")
        return found

    def put_identity(self, name: str, text: str) -> None:
        """Put a file of the run's identity in its place, whole or not at all; ValueError for a path."""
        if not _FILE.fullmatch(name):
            raise ValueError(f"not the name of a file: {name!r}")
        draft = self.identity / f".{name}.{os.getpid()}.draft"
        try:
            write_file(draft, text.encode(), durable=False)
            draft.replace(self.identity / name)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    @property
    def outputs(self) -> Path:
        """Where hooks and scripts write outputs: `$STATION_OUTPUTS`."""
        return self.scratch / "outputs.json"

    @property
    def variables(self) -> Path:
        """Where hooks write variables, one `NAME=value` a line: `$STATION_ENV`."""
        return self.scratch / "station-env"

    @property
    def masks(self) -> Path:
        """Where hooks and tools name values to mask, one a line: `$STATION_MASK`."""
        return self.scratch / "station-mask"

    @property
    def facts(self) -> Path:
        """Where hooks and tools write `NAME.json` for the policies: `$STATION_FACTS`."""
        return self.scratch / "station-facts"

    @property
    def shown_plan(self) -> Path:
        """The plan as JSON for hooks and tools: `$STATION_PLAN`."""
        return self.scratch / SHOWN_PLAN

    @property
    def carried(self) -> Path:
        """What hooks of the plan leg leave to the apply leg, out of the tool's reach."""
        return self.root / "carried.json"

    @property
    def rescued_tfstate(self) -> Path:
        """A tfstate that reached no backend. It stays with the log until somebody removes it."""
        return self.root / "errored.tfstate"

    @property
    def not_understood(self) -> Path:
        """The beginning of what a tool has printed and nobody could read. It stays with the log, too."""
        return self.root / "not-understood"

    @property
    def tree(self) -> Path:
        """What a plan begins with, for the machine that does it."""
        return self.root / "tree.tar"

    @property
    def saved(self) -> Path:
        """What a plan left for its apply, on whatever machine: it can hold secrets, as the saved plan in it."""
        return self.root / "saved.tar"

    @property
    def pending_tfstate(self) -> Path:
        """Where versions of the tfstate wait while the service is away."""
        return self.root / "tfstate-pending"

    def started(self, leg: Leg, attempt: int) -> Path:
        """Return the file whose existence means that this leg has begun, or never will."""
        return self.root / f"{leg}-{attempt}.started"

    def record(self, leg: Leg, attempt: int) -> Path:
        """Return the file in which the end of a leg is recorded."""
        return self.root / f"{leg}-{attempt}.exit.json"

    def make(self, *, to_send: bool = False) -> None:
        """Create what is missing; `to_send`: only what another machine is to get, which does the run."""
        here = () if to_send else (self.scratch, self.temporary)
        for path in (self.root, self.work, self.home, *here):
            path.mkdir(mode=0o700, exist_ok=True)

    def claim(self, leg: Leg, attempt: int, identity: ProcessIdentity | None) -> bool:
        """Take the one start of a leg; False: somebody else has it. None claims it for nobody: it never begins.

        The start of an apply must outlive a power failure too, or it could be taken for one that never began: `settle`
        before anything of it runs. Who began it is of no use then, only that somebody did.
        """
        draft = self.root / f".{leg}-{attempt}.{os.getpid()}.claim"
        data = to_line({} if identity is None else identity.to_data())
        write_file(draft, data, durable=leg is Leg.APPLY and identity is None)
        try:
            self.started(leg, attempt).hardlink_to(draft)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        if leg is Leg.APPLY and identity is None:
            self.settle()
        return True

    def settle(self) -> None:
        """Bring what was claimed to the disk; OSError where that fails."""
        sync_directory(self.root)

    def claimant(self, leg: Leg, attempt: int) -> ProcessIdentity | None:
        """Name the process that has begun a leg; None: nobody did, or the start was claimed for nobody."""
        data = _read_json(self.started(leg, attempt))
        return None if not data else ProcessIdentity.from_data(data)

    def given_up(self, leg: Leg, attempt: int) -> bool:
        """Whether the start of a leg was claimed for nobody, so that it never began and never will."""
        return _read_json(self.started(leg, attempt)) == {}

    def write_report(self, report: LegReport) -> None:
        """Record the end of a leg: all of it or nothing. A power failure may still take it: see `settle_report`."""
        path = self.record(report.leg, report.attempt)
        draft = path.with_suffix(".draft")
        try:
            write_file(draft, to_line(report_to_data(report)), durable=False)
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def settle_report(self, leg: Leg, attempt: int) -> None:
        """Bring the recorded end of a leg to the disk; OSError where that fails, or it is gone.

        An apply whose end a power failure has taken counts as interrupted, and a plan as lost: it is made again.
        """
        descriptor = os.open(self.record(leg, attempt), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(self.root)

    def read_report(self, leg: Leg, attempt: int) -> LegReport | None:
        """Read the end of a leg; None: not recorded, or not readable."""
        data = _read_json(self.record(leg, attempt))
        if data is None:
            return None
        try:
            return report_from_data(data)
        except (KeyError, TypeError, ValueError):
            return None

    def ends_run(self) -> bool:
        """Whether a recorded end of the newest attempt says that no leg can follow."""
        ends = [(int(attempt), Leg(leg)) for leg, attempt in self._named(_RECORD)]
        if not ends:
            return False
        newest = max(attempt for attempt, _leg in ends)
        reports = [self.read_report(leg, attempt) for attempt, leg in ends if attempt == newest]
        return any(report is not None and report.ends_run for report in reports)

    def at_work(self) -> bool:
        """Whether a process that has begun a leg is still there, or may be: who it was cannot be read."""
        try:
            claimants = [self.claimant(Leg(leg), int(attempt)) for leg, attempt in self._named(_STARTED)]
        except OSError:
            return True
        return any(identity is not None and identity.alive() for identity in claimants)

    def free(self) -> None:
        """Remove what only the tool needed, as far as that can be done: log, records and waiting tfstate stay."""
        # Only what is there is asked about: most of it is gone where another machine did the run.
        for path in inside(self.root):
            if path.name in _FREED:
                with contextlib.suppress(OSError):
                    remove(path)

    def set_aside(self) -> list[Path]:
        """Take what `free` removes out of its place at once, and return where it is now.

        Whoever removes it then does that to nothing that the run's next attempt makes.
        """
        moved = []
        for name in _TOOLS_OWN:
            with contextlib.suppress(OSError):
                moved.append((self.root / name).rename(self.root / _aside(name)))
        return moved

    def discard(self) -> None:
        """Remove everything but the log, and what only people can make use of."""
        if not (found := inside(self.root)):
            return
        for path in found:
            if path.name not in {"log", self.rescued_tfstate.name, self.not_understood.name}:
                remove(path)
        with contextlib.suppress(OSError):
            self.root.rmdir()

    def _named(self, pattern: re.Pattern[str]) -> list[tuple[str, str]]:
        try:
            names = os.listdir(self.root)  # noqa: PTH208 - names only
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [(found[1], found[2]) for found in map(pattern.fullmatch, names) if found]


def _aside(name: str) -> str:
    return f".{name}.ended"


def _tools_own(it: RunDirectory) -> tuple[Path, ...]:
    # In this order: what can hold secrets comes first.
    return it.identity, it.git, it.packages, it.carried, it.saved, it.temporary, it.work, it.home, it.scratch


# Names, and worked out once: paths are slow to make, and each run asks for these several times.
_TOOLS_OWN = tuple(path.name for path in _tools_own(RunDirectory(Path())))
_FREED = frozenset(each for name in _TOOLS_OWN for each in (name, _aside(name)))


def run_directories(data_dir: Path) -> Iterator[tuple[str, RunDirectory]]:
    """Yield the directories of runs that are there, by the runs' names."""
    try:
        names = os.listdir(data_dir / "runs")  # noqa: PTH208 - names only
    except FileNotFoundError:
        return
    for name in names:
        if _RUN.fullmatch(name):
            yield name, RunDirectory.of(data_dir, name)


def free_ended(data_dir: Path) -> None:
    """Make room by what runs left whose ends are on the disk, recorded by the service or not."""
    for _run, directory in run_directories(data_dir):
        # One that cannot be read must not keep the service from starting.
        with contextlib.suppress(OSError):
            if directory.ends_run() and not directory.at_work():
                directory.free()


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return data if isinstance(data, dict) else None
