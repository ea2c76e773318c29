"""Makes the order for a leg of a run, and fills its work directory.

`dispatch` gathers the inputs and calls `make_order` and `materialise`, in a thread. Nothing here starts a process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.digest import SourceSnapshot, options
from reconciler.core.phases import Leg, Phase
from reconciler.core.reasons import Reason
from reconciler.core.results import MadeBy
from reconciler.core.runs import Run
from reconciler.engine.base import Hook, LegOrder, Limits, Materialise, PrepareFailed
from reconciler.git.checkout import checkout
from reconciler.git.errors import CheckoutRefused, GitError, GitReason
from reconciler.git.trees import Trees
from reconciler.loop.desired.sources import directory_of
from reconciler.loop.desired.values import Opened
from reconciler.loop.desired.world import source_paths
from reconciler.loop.runs.taken import CannotRun, TakenOutput
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Identity
from reconciler.runner.leg.mounting import CannotMount, mount
from reconciler.settings import Settings
from reconciler.tools.registry import tool
from spaces.effective.stack import EffectiveStack, HookCommand, RepositoryFile
from spaces.model.variables import VariableClass, classify_variable
from spaces.reading.lfs import POINTER, is_pointer


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a run, as they were when its job was built."""

    stack: EffectiveStack
    source: SourceSnapshot
    trees: Trees | None
    outputs: tuple[TakenOutput, ...] = ()
    """The outputs of other stacks that the run uses."""
    made_by: MadeBy | None = None
    """For the apply leg: what made the plan."""
    identity: Identity | None = None

    @property
    def directory(self) -> str:
        """Where the tool runs in the work directory, behind the links on the way to it."""
        source = self.stack.source
        if source is None or self.trees is None:
            return "." if source is None else source.path
        try:
            return directory_of(source, self.trees, self.source.revision)
        except CheckoutRefused as refused:
            raise CannotRun(Reason.SOURCE_REFUSED, refused.message) from None


def make_order(  # noqa: PLR0917
    run: Run, leg: Leg, inputs: Inputs, opened: Opened, settings: Settings, carry_key: str
) -> LegOrder:
    """Return what a leg of a run is to do, wherever it is done."""
    spec = inputs.stack.spec
    seconds = float(spec.timeout) if spec.timeout is not None else settings.run_timeout
    return LegOrder(
        run=run.id,
        attempt=run.attempt,
        stack=str(run.stack),
        leg=leg,
        tool=spec.tool.value,
        tool_range=spec.tool_version,
        made_by=inputs.made_by,
        path=inputs.directory,
        options=options(spec),
        facts=dict(inputs.source.facts),
        env=opened.env,
        inputs={each.use.env: each.value for each in inputs.outputs if each.use.env is not None},
        hooks={
            f"{when}.{phase}": tuple(_hook(command, inputs.stack) for command in commands)
            for (when, phase), commands in inputs.stack.hooks.items()
        },
        limits=Limits(
            phase_seconds=dict.fromkeys(Phase, seconds),
            silence_seconds=settings.silence_timeout,
            grace_seconds=settings.grace_period,
            log_bytes=settings.log_limit,
            memory_bytes=settings.run_memory,
        ),
        carry_key=carry_key,
        waits_for_verdict=leg is Leg.PLAN and run.is_writing and not run.needs_confirmation,
        plan_digest=run.plan_digest if leg is Leg.APPLY else None,
        masked=(*opened.masked, *(inputs.identity.tokens if inputs.identity is not None else ())),
        secret_files=opened.secret_files,
        secrets={key.partition(".")[2]: secret for key, secret in opened.secrets.items()},
        fills_cache=run.is_writing,
        identity=inputs.identity,
        destroy=run.destroys,
        check=run.checks,
        refresh=run.refreshes,
        targets=run.targets,
        command=run.command,
        about=_about(run, inputs.stack, settings),
        git=opened.git,
    )


def _hook(command: HookCommand, stack: EffectiveStack) -> Hook:
    """Return the hook, with the variables that take over a process and that its own document sets as well.

    Who wrote them there had env:takeover, and the operator's consent was looked at before.
    """
    ref = command.origin.ref
    may_set = tuple(
        name
        for name, value in stack.env.items()
        if classify_variable(name) is VariableClass.TAKES_OVER
        and any(origin.ref == ref for origin in (value.origin, *value.overrides))
    )
    return Hook(command.command, str(ref), may_set)


def _about(run: Run, stack: EffectiveStack, settings: Settings) -> dict[str, str]:
    """Return what hooks and tools learn of a run; none of it is read by a tool, so none can become a change."""
    return {
        "STATION_SPACE": run.stack.space,
        "STATION_REVISION": run.revision,
        "STATION_BRANCH": run.proposes.ref if run.proposes is not None else settings.config_branch,
        "STATION_RUN_KIND": run.kind.value,
        "STATION_PERSON": run.person or "",
        "STATION_LABELS": json.dumps(dict(stack.labels), sort_keys=True),
    }


def needs_tfstate(inputs: Inputs) -> bool:
    """Whether the service keeps this stack's tfstate, or that of one of its units."""
    facts = inputs.source.facts
    kept = facts.get("backend") == "managed" or bool(facts.get("unkept"))
    return kept and tool(inputs.stack.spec.tool.value).abilities.managed_tfstate


def materialise(inputs: Inputs, opened: Opened) -> Materialise:
    """Return a function that fills the work directory with the tree of the digest and the mounted files."""

    def fill(directory: Path) -> None:
        source = inputs.stack.source
        _refuse_pointers(inputs.stack)
        try:
            if source is not None and inputs.trees is not None:
                paths = source_paths(inputs.source, source)
                checkout(inputs.trees, inputs.source.revision, paths, directory)
            mount(opened.files, RunDirectory(directory.parent), inputs.directory, opened.executable)
        except CannotMount as error:
            raise PrepareFailed(str(error)) from None
        except GitError as error:
            if error.reason is GitReason.DISK_FULL:
                raise OSError(28, "No space left on device") from None
            if isinstance(error, CheckoutRefused):
                # The commit is to blame: trying again from the same one would end the same.
                raise PrepareFailed(error.message, Reason.SOURCE_REFUSED) from None
            raise PrepareFailed(error.message) from None

    return fill


def _refuse_pointers(stack: EffectiveStack) -> None:
    for value in stack.files.values():
        if isinstance(value.value, RepositoryFile) and is_pointer(value.value.data):
            raise PrepareFailed(f"{value.value.path!r} {POINTER}", Reason.SOURCE_REFUSED)
