"""One leg from the job to its report.

The run's own process calls `run_leg` once for each leg (`runner.main`). What every part of the leg needs is put
together here: log, masker, tokens, tfstate, the tool's own job. What is then done in which order stands in `steps`.
"""

from __future__ import annotations

import os
import traceback
from dataclasses import replace
from pathlib import Path

from reconciler.core.phases import Leg, Phase
from reconciler.masking.masker import Masker
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Ending, EndReason, Job, LegReport
from reconciler.runner.leg import git_access
from reconciler.runner.leg.commands import Commands, Context, Settling, shorten
from reconciler.runner.leg.identity import Tokens, bring, take_away, with_paths
from reconciler.runner.leg.mounting import CannotMount, mount, unmount
from reconciler.runner.leg.results import masked_applied
from reconciler.runner.leg.steps import End, Work, perform
from reconciler.runner.processes.log import RunLog
from reconciler.runner.processes.sandbox import SEEN, Sandbox, tool_environment
from reconciler.runner.processes.stop import Cancel
from reconciler.tools.base import SharedPackages, StepFailed, TfstateBackend, ToolJob

_LONGEST_MESSAGE = 500
UNSANDBOXED = "WARNING: no sandbox on this machine: this run can read what the service's user can read"


def run_leg(job: Job, directory: RunDirectory, sandbox: Sandbox | None, cancel: Cancel) -> LegReport:
    """Do one leg and return what came of it. Raises nothing that a leg can be blamed for."""
    relay = None
    # Nothing of an apply may run before this is done: its start must outlive a power failure.
    settling = Settling(directory) if job.leg is Leg.APPLY else None
    job = with_paths(job, SEEN if sandbox is not None else directory)
    bring(job, directory)
    secrets = list(job.masked)
    if job.tfstate is not None:
        from reconciler.runner.tfstate.relay import Relay  # noqa: PLC0415 - HTTP is slow to import, and only some tools need it

        relay = Relay(job.tfstate, directory.pending_tfstate)
        secrets += [job.tfstate.token, relay.backend.password]
    masker = Masker(secrets)
    tokens = None if job.identity is None else Tokens(directory, masker)
    log = RunLog(directory.log, job.limits.log_bytes, masker, tokens.look if tokens is not None else None)
    try:
        context = Context(job, directory, sandbox, cancel, log, masker, settling)
        work = _work(context, None if relay is None else relay.backend)
        if isinstance(work, Work):
            try:
                end = _mounted(work) or _guarded(work)
                if tokens is not None:
                    tokens.look()
            finally:
                unmount(job.secret_files, directory, job.path)
                work.commands.files.clear()
            report = _report(work, end)
        else:
            log.say(_first_phase(job), work.message)
            report = _bare_report(job, replace(work, message=masker.text(work.message)))
        if relay is not None and relay.close():
            report = replace(report, pending_tfstate=directory.pending_tfstate)
            log.say(report.phase, "the service was away; it will store the waiting tfstate when it is back")
        told = report.message.startswith(f"{report.ending}: ")
        log.say(report.phase, report.message if told else f"{report.ending}: {report.message}")
    finally:
        take_away(directory)
        git_access.take_away(directory)
        log.close()
    if log.broken is not None:
        report = replace(report, message=f"{report.message}; the log is not complete: {log.broken}")
    return report


def _work(context: Context, backend: TfstateBackend | None) -> Work | End:
    from reconciler.tools.registry import TOOLS, tool  # noqa: PLC0415 - imports the one adapter

    job, directory, log = context.job, context.directory, context.log
    source = Path(os.path.realpath(directory.work / job.path))
    top = Path(os.path.realpath(directory.work))
    if not (source == top or top in source.parents) or not source.is_dir():
        return End(Ending.FAILED, EndReason.SOURCE_MISSING, f"there is no directory {job.path!r} in the source")
    if job.tool not in TOOLS:
        return End(Ending.FAILED, EndReason.RUNNER_ERROR, f"there is no tool {job.tool!r}")
    if context.sandbox is None and job.leg is Leg.PLAN:
        log.say(Phase.INIT, UNSANDBOXED)
    # Inside the sandbox /tmp is the run's own: short, since sockets' paths may not be long.
    own_tmp = context.sandbox is not None and not context.sandbox.whole
    seen = directory if context.sandbox is None else SEEN
    temporary = "/tmp" if own_tmp else str(seen.temporary)  # noqa: S108
    env = tool_environment(job, seen, os.environ, temporary)
    env |= git_access.lay_out(job.git, directory, seen, env)
    if context.sandbox is None:
        env["PWD"] = str(_lasting_path(job, directory) / source.relative_to(top))
    try:
        commands = Commands(context, env, source, str(seen.variables))
    except StepFailed as error:
        return End(Ending.FAILED, EndReason.PLAN_CHANGED, str(error))
    tool_job = ToolJob(
        binary=job.binary,
        directory=source,
        scratch=directory.scratch,
        options=job.options,
        facts=job.facts,
        tfstate=backend,
        env=job.env,
        inputs=job.inputs,
        cli_config=job.cli_config,
        destroy=job.destroy,
        check=job.check,
        stack=job.stack,
        secrets=job.secrets,
        cache=Path(job.cache) if job.cache else None,
        fills_cache=job.fills_cache,
        refresh=job.refresh,
        targets=tuple(job.targets),
        shared=_shared(context),
        charts=git_access.charts(job.git, seen),
    ).with_variables(commands.files.variables)
    return Work(job, directory, tool(job.tool), tool_job, commands, log, context.masker)


def _shared(context: Context) -> SharedPackages | None:
    job, directory = context.job, context.directory
    if not job.shared or context.sandbox is None:
        return None
    return SharedPackages(Path(job.shared), directory.packages, SEEN.packages, directory.home, job.shared_bytes)


def _lasting_path(job: Job, directory: RunDirectory) -> Path:
    """Return a path of the work directory that is the same in each run of the stack, for tools that go by `PWD`.

    It is a link that the newest leg of the stack owns. Where another leg takes it over, or it cannot be made, a tool
    finds that it leads elsewhere, and goes by the directory itself.
    """
    if directory.root.parent.name != "runs":
        return directory.work
    link = directory.root.parent.parent / "work" / job.stack
    draft = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        draft.symlink_to(directory.work)
        draft.replace(link)
    except OSError:
        return directory.work
    return link


def _mounted(work: Work) -> End | None:
    """Put the secret files in their places; gives an end where one has none."""
    job = work.job
    try:
        mount({name: text.encode() for name, text in job.secret_files.items()}, work.directory, job.path)
    except CannotMount as error:
        return End(Ending.FAILED, EndReason.PREPARE_FAILED, work.masker.text(str(error)))
    return None


def _guarded(work: Work) -> End:
    """Do the steps; a fault of our own ends the leg too, with its details in the log."""
    try:
        return perform(work)
    except Exception as error:  # noqa: BLE001 - an adapter met something it was not made for
        for line in traceback.format_exception(error):
            for each in line.splitlines():
                work.log.say(work.commands.phase, work.masker.text(each))
        # Whether an apply had already written something when this happened nobody knows.
        ending = Ending.INTERRUPTED if work.commands.writing else Ending.FAILED
        return End(ending, EndReason.RUNNER_ERROR, f"a bug in the {work.job.tool} adapter: {type(error).__name__}")


def _report(work: Work, end: End) -> LegReport:
    job, masker = work.job, work.masker
    return LegReport(
        run=job.run,
        attempt=job.attempt,
        leg=job.leg,
        ending=end.ending,
        reason=end.reason,
        message=shorten(masker.text(end.message), _LONGEST_MESSAGE),
        phase=work.commands.phase,
        phase_seconds=dict(work.seconds),
        planned=work.planned,
        applied=None if work.applied is None else masked_applied(work.applied, masker),
        plan_digest=work.plan_digest,
        waiting=job.waits_for_verdict and end.reason is EndReason.PLANNED,
    )


def _bare_report(job: Job, end: End) -> LegReport:
    return LegReport(job.run, job.attempt, job.leg, end.ending, end.reason, end.message, _first_phase(job))


def _first_phase(job: Job) -> Phase:
    return Phase.INIT if job.leg is Leg.PLAN else Phase.APPLY
