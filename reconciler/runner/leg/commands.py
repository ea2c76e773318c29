"""Runs commands for adapters and hooks, each in the sandbox, and says in what way one went wrong.

`leg` makes the one `Commands` of a leg. `steps` runs hooks by it, and gives its `do` to the adapter of the tool.
"""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.phases import Leg, Phase
from reconciler.masking.masker import Masker
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Ending, EndReason, Hook, Job
from reconciler.runner.leg.hook_files import HookFiles
from reconciler.runner.processes.command import Command, Outcome, Stop, Watch
from reconciler.runner.processes.log import RunLog
from reconciler.runner.processes.sandbox import SEEN, Sandbox, inherited
from reconciler.runner.processes.stop import Cancel
from reconciler.tools.base import StepFailed
from spaces.model.variables import is_loader


class LegEnded(Exception):
    """The leg ends here, in this way. The message is one line."""

    def __init__(self, ending: Ending, reason: EndReason, message: str) -> None:
        super().__init__(message)
        self.ending = ending
        self.reason = reason


_SHOWN_COMMAND = 200
_SHELL = "/bin/sh"


class Settling:
    """The start of an apply on its way to the disk, beside all that comes before its first command."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._problem: OSError | None = None
        self._thread = threading.Thread(target=self._settle, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return once the start is there to stay; OSError where it is not."""
        self._thread.join()
        if self._problem is not None:
            raise self._problem

    def _settle(self) -> None:
        try:
            self._directory.settle()
        except OSError as error:
            self._problem = error


@dataclass(frozen=True, slots=True)
class Context:
    """What every part of a leg works with."""

    job: Job
    directory: RunDirectory
    sandbox: Sandbox | None
    cancel: Cancel
    log: RunLog
    masker: Masker
    settling: Settling | None = None
    """What has to be on the disk before anything runs; None: nothing."""


class Commands:
    """Everything that runs during one leg goes through `do` or `hook`; the phase decides how long it may take."""

    def __init__(self, context: Context, env: Mapping[str, str], cwd: Path, variables_file: str) -> None:
        """Run in `cwd` with `env`; hooks see `variables_file` as the place for their variables.

        StepFailed where what hooks of the leg before said does not open.
        """
        self._job, self._directory, self._log = context.job, context.directory, context.log
        self._masker, self._cancel, self._sandbox = context.masker, context.cancel, context.sandbox
        self._cwd, self._settling = cwd, context.settling
        self.files = HookFiles(context.directory, context.masker, self._job.carry_key)
        self.files.prepare(carry=self._job.leg is Leg.APPLY)
        self._env = {**env, **self.files.variables}
        self._variables_file = variables_file
        self._log.listen = self.files.hear
        self.phase = Phase.INIT
        self.deadline = float("inf")
        self.writing = False
        """Whether what runs now may change the real world."""
        self.late: Stop | None = None
        """A stop that was asked for, while the command that writes came to its proper end all the same."""
        self._concluding = False

    def begin(self, phase: Phase) -> None:
        """Enter a phase: its clock starts."""
        self.phase = phase
        self.deadline = time.monotonic() + self._job.limits.phase_seconds.get(phase, float("inf"))

    def conclude(self) -> None:
        """Enter the end of the run: what runs from here on runs whatever has happened before."""
        seconds = self._job.limits.phase_seconds.get(self.phase, float("inf"))
        if self._cancel.requested:
            self._cancel.handled = True
            seconds = min(seconds, self._job.limits.grace_seconds)
        self.deadline = time.monotonic() + seconds
        self._concluding = True

    def check(self) -> None:
        """Stop here if a stop was asked for."""
        if self._cancel.requested and not self.late and not self._concluding:
            self._cancel.handled = True
            raise LegEnded(Ending.CANCELED, EndReason.CANCELED, f"canceled during {self.phase}")

    def do(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] = (0,),
        env: Mapping[str, str] | None = None,
        stdout: Path | None = None,
        shown: bool = True,
        apart: Path | None = None,
    ) -> int:
        """Run a command of the tool; see `reconciler.tools.base.Do`."""
        self.check()
        name = self._masker.text(Path(argv[0]).name)
        # Masked before it is quoted (quotes could tear a value apart) and after it (a value may span words).
        words = [name, *map(self._masker.text, argv[1:])]
        if shown:
            self._log.say(self.phase, f"$ {self._masker.text(shlex.join(words))}")
        command = self._masker.text(shlex.join([first_line(word) for word in words]))
        self._log.hearing.begin()
        if apart is not None:
            outcome = self._run_apart(argv, env or {}, apart)
        else:
            outcome = self._run(argv, {**(env or {}), "STATION_PHASE": self.phase}, stdout)
        try:
            self._heed_masks()
        except StepFailed as error:
            # A tool at work is not failed for what one of its commands left in there.
            self._log.say(self.phase, f"WARNING: {error}: not everything that was named is masked")
        what = shorten(command) if shown else name
        self._judge(what, outcome, ok)
        if outcome.code not in ok:
            if apart is not None:
                self._log.say(self.phase, f"{what} ended with exit code {outcome.code}; the run goes on without it")
                return outcome.code
            failed = StepFailed(self._failed(what, outcome.code), outcome.code)
            failed.silent = self._log.hearing.error is None
            raise failed
        return outcome.code

    def hook(self, hook: Hook, at: str, env: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Run one hook through the shell; return the variables that it sets, which all that follows gets."""
        self.check()
        command = self._masker.text(hook.command)
        self._log.say(self.phase, f"hook {at} of {hook.source}: {command}")
        self._log.hearing.begin()
        what = f"the {at} hook {shorten(first_line(command))} of {hook.source}"
        try:
            self.files.begin_hook()
            told = {**(env or {}), "STATION_PHASE": self.phase, "STATION_ENV": self._variables_file}
            outcome = self._run((_SHELL, "-c", hook.command), told, None)
            self._heed_masks()
            self._judge(what, outcome, (0,))
            if outcome.code != 0:
                raise LegEnded(Ending.FAILED, EndReason.HOOK_FAILED, self._failed(what, outcome.code))
            variables = self.files.take_variables(hook.may_set)
        except StepFailed as error:
            raise LegEnded(Ending.FAILED, EndReason.HOOK_FAILED, f"{what}: {error}") from None
        self._env = {**self._env, **variables}
        return variables

    def _heed_masks(self) -> None:
        before = self.files.short
        self.files.heed_masks()
        if self.files.short > before:
            self._log.say(self.phase, "WARNING: a line of $STATION_MASK is shorter than 8 characters and is not masked")

    def _failed(self, what: str, code: int) -> str:
        """Return why a command failed: its own error first, since a message may be cut at its end."""
        said = self._log.hearing.error
        if said is None:
            return f"{what} ended with exit code {code}"
        return f"{self._masker.text(said)} ({what} ended with exit code {code})"

    def _run(self, argv: Sequence[str], env: Mapping[str, str], stdout: Path | None) -> Outcome:
        env, is_shell = {**self._env, **env}, argv[0] == _SHELL
        if self._sandbox is not None:
            # The sandbox itself must not load what a run brings along.
            inside = {name: env.pop(name) for name in list(env) if is_loader(name)}
            argv = [*self._sandbox.prefix(self._directory, self._cwd, (argv[0], self._job.binary), inside), *argv]
        return self._watch(argv, env, self._cwd, stdout, is_shell=is_shell)

    def _run_apart(self, argv: Sequence[str], env: Mapping[str, str], place: Path) -> Outcome:
        if self._sandbox is None:
            raise StepFailed("nothing runs apart from a run without a sandbox")
        directory = RunDirectory(Path(os.path.realpath(place)))
        directory.make()
        own = {"HOME": str(SEEN.home), "TMPDIR": str(SEEN.temporary if self._sandbox.whole else "/tmp")}  # noqa: S108
        prefix = self._sandbox.prefix(directory, directory.work, (argv[0],))
        return self._watch([*prefix, *argv], {**inherited(os.environ), **own, **env}, directory.work)

    def _watch(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        stdout: Path | None = None,
        *,
        is_shell: bool = False,
    ) -> Outcome:
        if self._settling is not None:
            self._settling.wait()
        limits = self._job.limits
        # What follows a stop that came too late only reads what was done: it gets as long as the stop itself got.
        deadline = time.monotonic() + limits.grace_seconds if self.late else self.deadline
        target = None if stdout is None else _private(stdout)
        try:
            command = Command(
                argv,
                env,
                cwd,
                sandboxed=self._sandbox is not None,
                is_shell=is_shell,
                stdout=target,
            )
        except FileNotFoundError as error:
            raise StepFailed(f"{error.filename} was not found") from None
        except PermissionError as error:
            raise StepFailed(f"{error.filename} may not be run") from None
        finally:
            if target is not None:
                os.close(target)
        return command.watch(Watch(deadline, limits.silence_seconds, limits.grace_seconds), self._log, self._cancel)

    def _judge(self, what: str, outcome: Outcome, ok: Collection[int]) -> None:
        """Raise LegEnded for an end that no adapter has a say in."""
        applying = self.writing and self._job.leg is Leg.APPLY
        fine = outcome.code in ok and not outcome.killed
        if outcome.stop is not None:
            reason, why = {
                Stop.CANCEL: (EndReason.CANCELED, "canceled"),
                Stop.DEADLINE: (EndReason.PHASE_TIMEOUT, f"{self.phase} took too long"),
                Stop.SILENCE: (EndReason.SILENCE_TIMEOUT, "without output for too long"),
            }[outcome.stop]
            if applying and fine:
                self.late = outcome.stop
                self._log.say(self.phase, f"{why}, but {what} came to its end before it stopped")
                return
            how = "killed after the grace period" if outcome.killed else "it stopped when asked to"
            if applying and outcome.killed:
                ending = Ending.INTERRUPTED
            else:
                ending = Ending.CANCELED if outcome.stop is Stop.CANCEL else Ending.FAILED
            raise LegEnded(ending, reason, f"{why}: {what}, {how}")
        if outcome.signal is not None and not fine:
            ending = Ending.INTERRUPTED if applying else Ending.FAILED
            raise LegEnded(ending, EndReason.TOOL_KILLED, f"{what} was killed by {outcome.signal.name}")


def first_line(text: str) -> str:
    """Return the first line of a masked script, marked where there are more: joined they would be another command."""
    lines = [line for line in text.splitlines() if line.strip()]
    return f"{lines[0].rstrip()}…" if len(lines) > 1 else text.strip()


def shorten(text: str, most: int = _SHOWN_COMMAND) -> str:
    """Cut a masked text, a command if nothing else is said, for a message of one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _private(path: Path) -> int:
    # What is there may be the tool's own doing, a link to somewhere else even.
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
