"""What happens in a leg, in order: read the tables at the end from top to bottom.

`leg` calls `perform` with the `Work` that it has put together. The first step that fails ends the leg, and the hooks
for the end of the run follow. A run has the tables `PLAN` and `APPLY`, a task `BEFORE_TASK` and `TASK`.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.core.normalised import plan_to_json
from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Applied, MadeBy, Planned
from reconciler.masking.masker import Masker
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Ending, EndReason, Job
from reconciler.runner.contract.records import planned_from_data, planned_to_data, to_line
from reconciler.runner.leg.commands import Commands, LegEnded
from reconciler.runner.leg.results import digest, masked_plan, secret_texts, with_file_outputs
from reconciler.runner.processes.log import RunLog
from reconciler.tools.base import NotUnderstood, StepFailed, TfstateNotSaved, Tool, ToolJob
from reconciler.tools.files import read_result, write_scratch


@dataclass(slots=True)
class Work:
    """One leg while it is under way, and what it has found so far."""

    job: Job
    directory: RunDirectory
    tool: Tool
    tool_job: ToolJob
    commands: Commands
    log: RunLog
    masker: Masker
    planned: Planned | None = None
    """What the plan found, masked."""
    applied: Applied | None = None
    plan_digest: str | None = None
    seconds: dict[Phase, float] = field(default_factory=dict)


_KEPT_BYTES = 64 * 1024
"""How much is kept of what a tool has printed for machines and nobody could read."""

Step = tuple[Phase, Callable[[Work], None]]


@dataclass(frozen=True, slots=True)
class End:
    """How a leg ended."""

    ending: Ending
    reason: EndReason
    message: str


def perform(work: Work) -> End:
    """Do the steps of the job's leg, then the hooks for the end of the run if this is it."""
    legs = (PLAN, APPLY) if work.job.command is None else (BEFORE_TASK, TASK)
    end = _perform(work, legs[0] if work.job.leg is Leg.PLAN else legs[1])
    run_goes_on = end.reason is EndReason.PLANNED
    if not run_goes_on:
        end = _after_run(work, end)
    return end


def _perform(work: Work, steps: tuple[Step, ...]) -> End:
    commands, phase = work.commands, None
    began = time.monotonic()
    try:
        for at, step in steps:
            if at is not phase:
                phase, began = at, time.monotonic()
                commands.begin(at)
            step(work)
            work.seconds[at] = time.monotonic() - began
    except (LegEnded, StepFailed, OSError) as error:
        work.seconds[commands.phase] = time.monotonic() - began
        if isinstance(error, TfstateNotSaved):
            return _rescue(work, error)
        if isinstance(error, NotUnderstood):
            error = _keep(work, error)
        return _end_of(error, work.masker)
    return _proper_end(work)


def _rescue(work: Work, error: TfstateNotSaved) -> End:
    """Keep the tfstate that only the work directory has. As after an interruption, the stack waits for a person."""
    kept = work.directory.rescued_tfstate
    _write_private(kept, read_result(error.rescued) or b"")
    message = f"{error}; it is kept as {kept}: put it into the backend (state push), then retry the run"
    return End(Ending.INTERRUPTED, EndReason.TFSTATE_NOT_SAVED, work.masker.text(message))


def _keep(work: Work, error: NotUnderstood) -> StepFailed:
    """Keep the beginning of what could not be read, where only the service's user can see it.

    It stays out of the log: what a tool prints for machines can hold secrets that no masker has heard of.
    """
    kept, raw = work.directory.not_understood, error.raw[:_KEPT_BYTES]
    masked = work.masker.mask(raw)
    if len(raw) < len(error.raw):
        # A value that goes on behind the cut is not recognised: as much as one can be long is dropped.
        masked = masked[: max(len(masked) - work.masker.overlap, 0)]
    if not masked.strip():
        return error
    try:
        _write_private(kept, masked)
    except OSError as problem:
        return StepFailed(f"{error}; what was printed could not be kept: {problem.strerror}")
    return StepFailed(f"{error}; the beginning of what was printed is kept as {kept}")


def _end_of(error: LegEnded | StepFailed | OSError, masker: Masker) -> End:
    match error:
        case LegEnded():
            return End(error.ending, error.reason, masker.text(str(error)))
        case StepFailed():
            return End(Ending.FAILED, EndReason(error.reason or EndReason.TOOL_FAILED), masker.text(str(error)))
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG):
            text = f"{error.strerror}: {error.filename or 'while writing'}"
            return End(Ending.FAILED, EndReason.DISK_FULL, masker.text(text))
        case _:
            where = f": {error.filename}" if error.filename else ""
            return End(Ending.FAILED, EndReason.RUNNER_ERROR, masker.text(f"{error.strerror or error}{where}"))


def _proper_end(work: Work) -> End:
    if work.job.leg is Leg.APPLY:
        late = "; the request to stop came too late" if work.commands.late else ""
        done = "applied" if work.job.command is None else "the command ended well"
        return End(Ending.SUCCEEDED, EndReason.APPLIED, f"{done}{late}")
    if work.planned is not None and work.planned.has_changes:
        return End(Ending.SUCCEEDED, EndReason.PLANNED, "there are changes")
    return End(Ending.SUCCEEDED, EndReason.NO_CHANGES, "nothing to change")


def _after_run(work: Work, end: End) -> End:
    """Run the hooks for the end of the run, which are told how it ended.

    What becomes of them does not change what became of the run, and one that fails does not keep the others from
    running: they belong to different documents.
    """
    hooks = work.job.hooks.get("after.run", ())
    if not hooks:
        return end
    work.commands.conclude()
    result = {"STATION_RESULT": end.ending, "STATION_REASON": end.reason}
    messages = [end.message]
    for hook in hooks:
        try:
            work.commands.hook(hook, "after.run", result)
        except (LegEnded, StepFailed, OSError) as error:
            problem = _end_of(error, work.masker)
            work.log.say(work.commands.phase, problem.message)
            messages.append(problem.message)
            if problem.reason is not EndReason.HOOK_FAILED:
                break
    return End(end.ending, end.reason, "; ".join(messages))


def _hooks(at: str, destroying: str | None = None) -> Callable[[Work], None]:
    """Return the step that runs the hooks of that name, or in a destroy run those of the other one."""

    def run(work: Work) -> None:
        name = destroying if destroying is not None and work.job.destroy else at
        for hook in work.job.hooks.get(name, ()):
            variables = work.commands.hook(hook, name)
            work.tool_job = work.tool_job.with_variables(variables)

    return run


def _init(work: Work) -> None:
    work.tool.init(work.tool_job, work.commands.do)
    work.commands.check()


def _plan(work: Work) -> None:
    planned = work.tool.plan(work.tool_job, work.commands.do)
    if planned.present or planned.there is not None:
        work.applied = Applied(planned.there, planned.present)
        work.masker.learn(secret_texts(planned.present))
    job = work.job
    made_by = MadeBy(job.binary, job.tool_version) if job.binary else None
    work.planned = masked_plan(replace(planned, present=(), there=None, made_by=made_by), work.masker)
    work.commands.check()


def _plan_files(work: Work) -> Sequence[Path]:
    return () if work.job.command is not None else work.tool.plan_files(work.tool_job)


def _record_plan(work: Work) -> None:
    """Before the hooks after the plan: what they might do to it is not what will be confirmed."""
    assert work.planned is not None  # noqa: S101 - the step before has set it
    _write_private(work.directory.planned, to_line(planned_to_data(work.planned)))
    work.plan_digest = digest(work.directory.planned, _plan_files(work))


def _show_plan(work: Work) -> None:
    """Write the plan for those who may want to read it, from where no command of the run could change it."""
    if not work.job.hooks and work.tool.binaries:
        # Only commands that a document gives read it.
        return
    planned = work.planned or _recorded_plan(work)
    if planned is None:
        return
    try:
        write_scratch(work.directory.shown_plan, to_line(plan_to_json(planned)))
    except IsADirectoryError:
        raise StepFailed("$STATION_PLAN cannot be written: there is a directory of that name") from None


def _recorded_plan(work: Work) -> Planned | None:
    """Read what the plan leg recorded; None where it cannot be read, which the check before the apply tells of."""
    try:
        planned = planned_from_data(json.loads(read_result(work.directory.planned) or b""))
    except (StepFailed, KeyError, TypeError, ValueError):
        return None
    return masked_plan(planned, work.masker) if work.commands.files.masked else planned


def _conclude_plan(work: Work) -> None:
    """Take the facts, hide in the plan what was named only after it, and leave to the apply leg what hooks said."""
    assert work.planned is not None  # noqa: S101 - the steps before have set it
    files = work.commands.files
    planned = masked_plan(work.planned, work.masker) if files.masked else work.planned
    try:
        work.planned = replace(planned, facts=files.read_facts())
    except StepFailed as error:
        raise LegEnded(Ending.FAILED, EndReason.HOOK_FAILED, str(error)) from None
    if planned.has_changes:
        files.save()


def _check_plan(work: Work) -> None:
    """Right before the apply: after the hooks, which could have touched it."""
    if work.job.plan_digest is None:
        raise LegEnded(Ending.FAILED, EndReason.PLAN_CHANGED, "no plan was recorded for this run")
    try:
        found = digest(work.directory.planned, _plan_files(work))
    except OSError as error:
        missing = f"the saved plan cannot be read: {Path(str(error.filename or '')).name}"
        raise LegEnded(Ending.FAILED, EndReason.PLAN_CHANGED, missing) from None
    if found != work.job.plan_digest:
        raise LegEnded(Ending.FAILED, EndReason.PLAN_CHANGED, "the saved plan differs from the recorded one")
    work.plan_digest = found


def _apply(work: Work) -> None:
    work.commands.check()
    work.commands.writing = True
    try:
        work.applied = work.tool.apply(work.tool_job, work.commands.do)
    except StepFailed as failed:
        work.applied = failed.left
        raise
    finally:
        work.commands.writing = False
    # The hooks that follow may print them.
    work.masker.learn(secret_texts(work.applied.outputs))


def _outputs(work: Work) -> None:
    assert work.applied is not None  # noqa: S101 - the steps before have set it
    work.applied = with_file_outputs(work.applied, work.directory.outputs)


def _expect_task(work: Work) -> None:
    """Go on to the task: what it will do nobody knows, and policies see its command."""
    work.planned = Planned(has_changes=True)


def _task(work: Work) -> None:
    work.commands.check()
    work.commands.writing = True
    try:
        command = ("/bin/sh", "-e", "-c", work.job.command or "")
        work.commands.do(command, env=work.tool.environment(work.tool_job))
    finally:
        work.commands.writing = False


def _write_private(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(data)


PLAN: tuple[Step, ...] = (
    (Phase.INIT, _hooks("before.init")),
    (Phase.INIT, _init),
    (Phase.INIT, _hooks("after.init")),
    (Phase.PLAN, _hooks("before.plan")),
    (Phase.PLAN, _plan),
    (Phase.PLAN, _record_plan),
    (Phase.PLAN, _show_plan),
    (Phase.PLAN, _hooks("after.plan")),
    (Phase.PLAN, _conclude_plan),
)
APPLY: tuple[Step, ...] = (
    (Phase.APPLY, _show_plan),
    (Phase.APPLY, _hooks("before.apply", "before.destroy")),
    (Phase.APPLY, _check_plan),
    (Phase.APPLY, _show_plan),
    (Phase.APPLY, _apply),
    (Phase.APPLY, _hooks("after.apply", "after.destroy")),
    (Phase.APPLY, _outputs),
)
BEFORE_TASK: tuple[Step, ...] = (
    (Phase.INIT, _hooks("before.init")),
    (Phase.INIT, _init),
    (Phase.INIT, _hooks("after.init")),
    (Phase.PLAN, _expect_task),
    (Phase.PLAN, _record_plan),
    (Phase.PLAN, _conclude_plan),
)
TASK: tuple[Step, ...] = (
    (Phase.APPLY, _check_plan),
    (Phase.APPLY, _task),
)
