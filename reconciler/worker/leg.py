"""One leg on a worker: taken up, prepared, started, watched, and its end told to the service.

The run has a process of its own, as on the service's machine. What the service says of the leg comes with each beat: a
leg that is lost is stopped as a cancel does. Whatever is said twice, because an answer was lost, does no harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Protocol

from reconciler.core.phases import Leg
from reconciler.engine.base import Engine, PrepareFailed
from reconciler.engine.ends import never_started
from reconciler.engine.packing import BEGINNING, PLANNED, CannotUnpack, pack, unpack
from reconciler.engine.placing import CannotPlace, Machine
from reconciler.engine.preparing import not_written
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Ending, EndReason, Job, LegReport, TfstateAccess
from reconciler.runner.contract.records import order_from_data
from reconciler.runner.tfstate.backlog import anything_pending, pending_requests
from reconciler.worker.kept import KeptLeg
from reconciler.worker.service import Away, Lost, NotSaved, Order, ServiceClient

_log = logging.getLogger(__name__)

_LOOK = 0.2
"""Seconds between two looks at the log: with those of the page, a new line shows within half a second."""
_AGAIN = 1.0
_PIECE = 1024 * 1024


class Remembering(Protocol):
    """Where a leg is remembered for the next worker."""

    def put(self, leg: KeptLeg) -> None:
        """Remember a leg; OSError where that fails."""

    def remove(self, run: str) -> None:
        """Forget a leg."""


@dataclass(slots=True)
class LegAtWork:
    """A leg that this worker has. One thread does or follows it; others say `ended` and `stop`."""

    kept: KeptLeg
    service: ServiceClient
    engine: Engine
    machine: Machine
    legs: Remembering
    worker: str
    leaving: Callable[[], bool] = lambda: False
    """Whether the worker ends at once, and leaves its runs to the next one."""
    stays: bool = True
    """Whether this machine is there for the apply, too."""
    canceled: bool = False
    """Whether the service has said that the leg is to stop."""
    _report: LegReport | None = None
    _ended: threading.Event = field(default_factory=threading.Event)
    _lost: bool = False
    _sent: int = 0
    _saved: str | None = None
    """The SHA-256 of what the service sends of a saved plan."""
    _tree: bytes | None = None
    """What a plan begins with, which came when it was taken up; None: it is to be fetched."""
    _packed: bool = False
    _reached: float = 0.0
    """When the service was reached last."""
    _beaten: float = 0.0
    """When that was tried last."""

    @property
    def run(self) -> str:
        """The run."""
        return self.kept.which.run

    @property
    def directory(self) -> RunDirectory:
        """The run's directory on this machine."""
        return RunDirectory.of(self.machine.data_dir, self.run)

    def ask(self) -> None:
        """Ask the service at once whether the leg is to stop."""
        self._beat()

    def end(self, report: LegReport) -> None:
        """Note how the leg ended on this machine."""
        self._report = report
        self._ended.set()

    def do(self) -> None:
        """Take the leg up, start it, and follow it to its end."""
        try:
            self._remember()
        except OSError as error:
            # Nobody has taken it up, and other workers may have room for it.
            _log.warning("run %s is not taken up: its directory cannot be made: %s", self.run, error.strerror)
            return
        try:
            order = self.service.take(self.kept.token, self.worker)
        except (Away, Lost) as error:
            # Where only the answer was lost, the leg is ours, and what it is to do is not said again.
            _log.info("run %s was not taken up: %s", self.run, error)
            self.end(never_started(self.kept.which))
            self._tell()
            return
        self.begin(order)

    def begin(self, order: Order) -> None:
        """Start a leg that was taken up, and follow it to its end."""
        tfstate = None if order.tfstate is None else (order.tfstate["path"], order.tfstate["token"])
        self.kept = replace(self.kept, lease=order.lease, tfstate=tfstate, saves=order.saves)
        try:
            self._remember()
            self.directory.renew_lease()
        except OSError as error:
            self.end(not_written(self.kept.which, error))
            self._tell()
            return
        access = None if tfstate is None else TfstateAccess(str(self.machine.data_dir), *tfstate)
        try:
            job = replace(self.machine.place(order_from_data(order.order), access), lease=order.lease)
        except CannotPlace as error:
            self.end(self.kept.which.unprepared(Ending.FAILED, error.reason, error.message))
        except (KeyError, TypeError, ValueError):
            message = "what the service sent is no order: is it of the same version?"
            self.end(self.kept.which.unprepared(Ending.FAILED, EndReason.RUNNER_ERROR, message))
        else:
            _log.info("run %s: %s of %s begins", self.run, job.leg, job.stack)
            self._saved, self._tree = order.saved, order.tree
            self.engine.start(job, None if self._is_here(job) else self._fill)
        self.follow(taken=True)

    def _remember(self) -> None:
        """Make the run's directory, and remember the leg for the next worker; OSError where that fails."""
        self.directory.root.parent.mkdir(mode=0o700, exist_ok=True)
        self.directory.make()
        self.legs.put(self.kept)

    def follow(self, *, taken: bool = False) -> None:
        """Follow a leg that was started, and tell the service its end.

        `taken`: it was taken up just now, which counts as a beat; otherwise an earlier process of this worker did.
        """
        self._reached = time.monotonic()
        self._beaten = self._reached if taken else float("-inf")
        while not self._ended.wait(_LOOK):
            if self.leaving():
                return
            self._keep()
            self._send_log()
        self._tell()

    def _keep(self) -> None:
        """Say that the leg is at work, when it is time to; stop its tool where the leg is lost."""
        now = time.monotonic()
        if now - self._beaten >= self.kept.lease / 6 and not self._lost:
            self._beaten = now
            if self._beat():
                self._reached = now
        if self._lost or now - self._reached > self.kept.lease:
            self.engine.cancel(self.run)

    def _is_here(self, job: Job) -> bool:
        """Whether this machine has what the leg begins with: an apply's saved plan, if that was made here."""
        if job.leg is Leg.PLAN:
            return False
        planned = self.directory.read_report(Leg.PLAN, job.attempt)
        return planned is not None and planned.plan_digest == job.plan_digest

    def _fill(self, work: Path) -> None:
        """Fill the run's directory with what the service sends: the desired tree, or what the plan left."""
        directory, apply = RunDirectory(work.parent), self.kept.which.leg is Leg.APPLY
        packed, total = directory.tree, hashlib.sha256()
        self._reached = self._beaten = time.monotonic()
        try:
            if self._tree is not None:
                packed.write_bytes(self._tree)
                self._tree = None
            else:
                self._fetch(packed, total.update)
            if apply and total.hexdigest() != self._saved:
                raise PrepareFailed("the saved plan that the service sent is not the one that it was given")
            unpack(packed, directory, PLANNED if apply else BEGINNING)
        except (Away, Lost) as error:
            raise PrepareFailed(f"the work directory could not be fetched: {error}") from None
        except CannotUnpack as error:
            raise PrepareFailed(f"the work directory cannot be unpacked: {error}") from None
        finally:
            packed.unlink(missing_ok=True)

    def _fetch(self, packed: Path, note: Callable[[bytes], object]) -> None:
        """Fetch what the leg begins with; each piece of it is noted. Away or Lost."""
        with self.service.tree(self.kept.token) as stream, packed.open("wb") as file:
            for piece in stream or ():
                file.write(piece)
                note(piece)
                self._keep()

    def _save(self) -> None:
        """Send what a plan leaves to its apply, once, so that any machine may do that; Away or Lost."""
        report, saved = self._report, self.directory.saved
        if report is None or report.ends_run or not self.kept.saves:
            return
        try:
            if not self._packed:
                pack(self.directory, PLANNED, saved)
                self._packed = True
            with saved.open("rb") as file:
                self.service.save(self.kept.token, self._pieces(file))
        except NotSaved as problem:
            self._not_saved(report, str(problem))
        except OSError as error:
            self._not_saved(report, f"the saved plan cannot be packed: {error.strerror or error}")
        self.kept = replace(self.kept, saves=False)
        saved.unlink(missing_ok=True)

    def _not_saved(self, report: LegReport, problem: str) -> None:
        """Leave the plan to this machine alone, or fail it where that is not there for the apply."""
        if self.stays:
            _log.warning("run %s can be applied by this worker only: %s", report.run, problem)
            return
        failed = replace(report, ending=Ending.FAILED, reason=EndReason.PLAN_NOT_SAVED, plan_digest=None)
        self._report = replace(failed, message=f"the plan cannot be kept for its apply: {problem}")

    def _pieces(self, file: IO[bytes]) -> Iterator[bytes]:
        while piece := file.read(_PIECE):
            self._keep()
            yield piece

    def _beat(self) -> bool:
        """Tell the service that the leg is at work; False where it cannot be reached."""
        try:
            cancel, tokens = self.service.beat(self.kept.token)
        except Away:
            return False
        except Lost as lost:
            self._lose(lost)
            return True
        with contextlib.suppress(OSError):
            self.directory.renew_lease()
        for name, text in tokens.items():
            old = self.engine.tokens(self.run).get(name)
            if old is not None:
                self.engine.renew(self.run, name, old, text)
        if cancel:
            self.canceled = True
            self.engine.cancel(self.run)
        return True

    def _send_log(self) -> None:
        if self._lost:
            return
        try:
            self._sent = self.service.log(self.kept.token, self.engine.log_path(self.run), self._sent)
        except (Away, OSError):
            pass
        except Lost as lost:
            self._lose(lost)

    def _lose(self, lost: Lost) -> None:
        _log.warning("run %s is not this worker's any more: %s", self.run, lost)
        self._lost = True

    def _tell(self) -> None:
        """Tell the service how the leg ended, as often as it takes, and tidy up."""
        assert self._report is not None  # noqa: S101 - whoever comes here has set it
        if self._report.pending_tfstate is not None:
            self._deliver(self._report.pending_tfstate)
        while not self._lost:
            try:
                self._save()
                self.service.end(self.kept.token, self._report, self.engine.log_path(self.run), self._sent)
                break
            except Lost as lost:
                self._lose(lost)
            except (Away, OSError):
                pass
            if self.leaving():
                return
            time.sleep(_AGAIN)
        report = self._report
        _log.info("run %s: %s ended: %s", self.run, report.leg, report.ending)
        self.legs.remove(self.run)
        if anything_pending(self.directory.pending_tfstate):
            _log.warning("run %s wrote a tfstate that the service does not take: %s", self.run, self.directory.root)
            self.engine.free(self.run)
        elif self._lost or report.ends_run:
            discard(self.engine, self.directory)

    def _deliver(self, waiting: Path) -> None:
        """Deliver what the tool wrote while nobody was there; what the service refuses stays on the disk."""
        path, token = self.kept.tfstate or ("", "")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for pending in pending_requests(waiting):
            where = f"{path}?{pending.query}" if pending.query else path
            while not self.leaving():
                with contextlib.suppress(Away):
                    status = self.service.relay(pending.method, where, headers, pending.body).status_code
                    if status < 400:
                        pending.path.unlink(missing_ok=True)
                    elif status < 500:
                        return
                    if status < 500:
                        break
                time.sleep(_AGAIN)


def discard(engine: Engine, directory: RunDirectory) -> None:
    """Remove everything of a run from this machine, but a tfstate that nobody else has."""
    with contextlib.suppress(OSError):
        engine.discard(directory.root.name)
        directory.log.unlink(missing_ok=True)
        directory.root.rmdir()
