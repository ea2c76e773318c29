"""Converts records of the service into the shapes of the API.

Shapes whose fields have the names of the record are read from its attributes (`model_validate`); the functions here do
the rest, and decide which values a reader may see.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import assert_never

from reconciler.core.reasons import Reason, remedy
from reconciler.core.results import Output, Planned, Resource
from reconciler.core.runs import Run, RunKind
from reconciler.core.standing import is_suspended
from reconciler.core.state import Condition, SourceCommit, StackState
from reconciler.core.timers import Purpose, Timer, command_of
from reconciler.core.verdicts import Judgement, Review
from reconciler.store.stored import ConfigurationState
from reconciler.web.api.schemas.effective import (
    EffectiveJson,
    FileJson,
    GitCredentialJson,
    GuardrailJson,
    HookJson,
    IntegrationJson,
    OriginJson,
    SourceJson,
    UsedContextJson,
    ValueJson,
)
from reconciler.web.api.schemas.overview import HaltJson, KeptJson
from reconciler.web.api.schemas.runs import (
    FollowJson,
    OutputChangeJson,
    PlanJson,
    ResourceChangeJson,
    ReviewJson,
    RunJson,
    VerdictJson,
    WholeRunJson,
)
from reconciler.web.api.schemas.stacks import (
    ConditionJson,
    LastRunJson,
    NextJson,
    OutputJson,
    ResourceJson,
    SourceCommitJson,
    StackJson,
    StackLockJson,
    StackPinJson,
    WhyJson,
)
from reconciler.web.api.told import Told
from spaces.documents.secrets import SopsSecret
from spaces.effective.integrations import ByPhase, IdentityFile, RunName
from spaces.effective.stack import Content, EffectiveStack, Origin, OutputOf, RepositoryFile, Value
from spaces.model.integration import APPLY, PLAN
from spaces.model.refs import Ref, read_ref
from spaces.model.secrets import SecretRef

_EVERYTHING = Told()


def stack_json(stack: StackState, last: Run | None, told: Told = _EVERYTHING) -> StackJson:
    """Return a stack; `last` is its newest run."""
    desired, applied = stack.desired, stack.applied
    return StackJson(
        id=str(stack.id),
        space=stack.id.space,
        name=stack.id.name,
        tool=desired.tool if desired else None,
        labels=dict(desired.labels) if desired else {},
        sync=stack.sync,
        reason=stack.reason,
        why=[WhyJson.model_validate(told.why(why)) for why in stack.why],
        conditions={
            kind: ConditionJson(
                status=condition.status,
                reason=condition.reason,
                message=_message(condition, told),
                since=condition.since,
            )
            for kind, condition in stack.conditions.items()
        },
        desired_revision=desired.revision if desired else None,
        attempted_revision=last.revision if last else None,
        applied_revision=applied.revision if applied else None,
        applied_at=applied.at if applied else None,
        source=_source(desired.source if desired else None),
        applied_source=_source(applied.source if applied else None),
        last_run=LastRunJson.model_validate(last) if last else None,
        autodeploy=desired.autodeploy if desired else False,
        suspended=is_suspended(stack),
        lock=StackLockJson.model_validate(stack.lock) if stack.lock else None,
        pin=StackPinJson.model_validate(desired.pin) if desired and desired.pin else None,
        pool=desired.pool if desired else None,
        retained=desired is None,
    )


_KINDS = {Purpose.DRIFT: RunKind.DRIFT, Purpose.RUN: RunKind.TRACKED, Purpose.TASK: RunKind.TASK}


def next_json(timer: Timer, stack: StackState) -> NextJson:
    """Return what comes by the clock."""
    schedules = stack.desired.schedules if stack.desired is not None else ()
    return NextJson(kind=_KINDS[Purpose(timer.purpose)], at=timer.at, command=command_of(timer, schedules))


def _source(source: SourceCommit | None) -> SourceCommitJson | None:
    return None if source is None else SourceCommitJson.model_validate(source)


def _message(condition: Condition, told: Told) -> str:
    """Return a condition's message, without the stack that it waits for if the reader may not see that stack."""
    if condition.reason != Reason.WAITS_FOR_DEPENDENCY:
        return told.message(condition.message, condition.reason)
    space = condition.message.partition("/")[0]
    seen = told.stacks is None or space in told.stacks
    return condition.message if seen else "a stack that it depends on is not in sync"


def run_json(run: Run, told: Told = _EVERYTHING) -> RunJson:
    """Return a run."""
    shown = RunJson.model_validate(run)
    if told == _EVERYTHING:
        return shown
    why = [WhyJson.model_validate(told.why(each)) for each in run.why]
    return shown.model_copy(update={"message": told.message(run.message, run.reason), "why": why})


def whole_run_json(  # noqa: PLR0917
    run: Run,
    judgement: Judgement | None,
    reviews: Sequence[Review],
    authors: Collection[str],
    follows: list[FollowJson],
    told: Told,
) -> WholeRunJson:
    """Return a run with the verdicts and reviews of it, and the stacks that follow it; `authors` caused it."""
    return WholeRunJson(
        **run_json(run, told).model_dump(by_alias=False),
        awaits_approval=run.awaits_approval,
        follows=follows,
        policies=[
            VerdictJson(
                policy=told.policy(verdict.policy),
                type=verdict.type,
                enforcement="mandatory" if verdict.mandatory else "advisory",
                result=verdict.result,
                messages=list(verdict.messages),
                warnings=list(verdict.warnings),
                error=verdict.error,
            )
            for verdict in (judgement.verdicts if judgement is not None else ())
        ],
        reviews=[
            ReviewJson(
                person=review.person,
                approve=review.approves,
                author=review.person in authors,
                note=review.note,
                at=review.at,
            )
            for review in reviews
        ],
    )


def plan_json(run: Run, planned: Planned) -> PlanJson:
    """Return the result of a plan."""
    return PlanJson(
        run=run.id,
        tool_version=planned.made_by.version if planned.made_by is not None else None,
        has_changes=planned.has_changes,
        changes=[ResourceChangeJson.model_validate(change) for change in planned.changes],
        drifted=[ResourceChangeJson.model_validate(change) for change in planned.drifted],
        outputs=[OutputChangeJson.model_validate(change) for change in planned.outputs],
        facts=dict(planned.facts),
    )


def resource_json(resource: Resource) -> ResourceJson:
    """Return a resource."""
    return ResourceJson.model_validate(resource)


def output_json(output: Output) -> OutputJson:
    """Return an output; a sensitive value is never part of it."""
    value = None if output.sensitive else output.value
    return OutputJson(name=output.name, value=value, sensitive=output.sensitive)


def effective_json(stack: EffectiveStack, told: Told = _EVERYTHING) -> EffectiveJson:
    """Return an effective configuration with the origin of each value; policies that are not told of are left out."""
    source = stack.source
    return EffectiveJson(
        stack=str(stack.id),
        tool=stack.spec.tool,
        source=SourceJson(
            repository=f"{source.repository.space}/{source.repository.name}" if source.repository else None,
            **_ref(source.ref),
            path=source.path,
            include=list(source.include),
        )
        if source
        else None,
        contexts=[f"{used.ref.space}/{used.ref.name}" for used in stack.contexts],
        attached=[
            UsedContextJson(
                space=used.ref.space,
                name=used.ref.name,
                how=str(used),
                priority=used.priority,
                labels=None if used.labels is None else dict(used.labels),
            )
            for used in stack.contexts
        ],
        integrations=[
            IntegrationJson(
                provider=used.spec.provider,
                how=str(used),
                audience=used.spec.aud,
                subject=used.spec.subject,
                plan=used.spec.role(PLAN) or None,
                apply=used.spec.role(APPLY) or None,
                origin=_origin(Origin(used.ref)),
            )
            for used in stack.integrations
        ],
        env=[_value(name, value, told) for name, value in sorted(stack.env.items())],
        files=[_file(name, value, told) for name, value in sorted(stack.files.items())],
        hooks=[
            HookJson(when=when, phase=phase, command=hook.command, origin=_origin(hook.origin))
            for (when, phase), hooks in stack.hooks.items()
            for hook in hooks
        ],
        git_credentials=[
            GitCredentialJson(repository=f"{each.repository.space}/{each.repository.name}", origin=_origin(each.origin))
            for each in stack.git_credentials
        ],
        policies=[
            GuardrailJson(
                type=policy.spec.type, enforcement=policy.spec.enforcement, origin=_origin(Origin(policy.ref))
            )
            for policy in stack.policies
            if told.spaces is None or policy.ref.space in told.spaces
        ],
    )


def halt_json(state: ConfigurationState, *, everything: bool) -> HaltJson | None:
    """Return why admission is halted, None if it is not.

    Only readers of everything see the message, which may name stacks.
    """
    halted = state.halted
    if halted is None:
        return None
    message = halted.message if everything else "admission is halted; only people who may read all spaces see why"
    hint = remedy(halted.reason) if everything else None
    return HaltJson(reason=halted.reason, message=message, hint=hint, revision=halted.revision, since=halted.since)


def kept_json(state: ConfigurationState) -> list[KeptJson]:
    """Show the documents of which an earlier version stays in force."""
    return [
        KeptJson(
            kind=kept.kind,
            space=kept.space,
            name=kept.name,
            file=kept.file,
            revision=kept.revision,
            because=kept.because,
        )
        for kept in state.kept
    ]


def _ref(ref: Ref | None) -> dict[str, str]:
    """Return what is followed under the key of its kind."""
    if ref is None:
        return {}
    kind, name = read_ref(ref)
    return {kind.value: name}


def _origin(origin: Origin) -> OriginJson:
    if origin.made is None:
        return OriginJson(kind=origin.ref.kind, space=origin.ref.space, name=origin.ref.name)
    made = origin.made
    return OriginJson(
        kind=made.blueprint.kind,
        space=made.blueprint.space,
        name=made.title.partition("/")[2],
        version=made.version,
        instance=f"{made.instance.space}/{made.instance.name}",
    )


def _value(name: str, value: Value, told: Told) -> ValueJson:
    overrides = [_origin(origin) for origin in value.overrides]
    text, source, size = _shown(value.value)
    if source is not None and isinstance(value.value, OutputOf):
        source = told.others(source)
    return ValueJson(name=name, value=text, source=source, size=size, origin=_origin(value.origin), overrides=overrides)


def _file(name: str, value: Value, told: Told) -> FileJson:
    return FileJson(**_value(name, value, told).model_dump(by_alias=False), executable=value.executable)


def _shown(content: Content) -> tuple[str | None, str | None, int | None]:
    match content:
        case str():
            return content, None, len(content.encode(errors="surrogatepass"))
        case RepositoryFile(path, data):
            try:
                text = data.decode()
            except UnicodeDecodeError:
                text = None
            return text, f"file {path} of the repository", len(data)
        case SecretRef() | SopsSecret():
            return None, str(content), None
        case OutputOf() | ByPhase() | IdentityFile() | RunName():
            return None, str(content), None
        case _:
            assert_never(content)
