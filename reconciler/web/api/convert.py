"""From what the service knows to the shapes of the API: the only place where these meet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import assert_never
from urllib.parse import urlsplit

from reconciler.core.conditions import is_suspended
from reconciler.core.reasons import Reason
from reconciler.core.results import Output, Planned, Resource, ResourceChange
from reconciler.core.runs import Run
from reconciler.core.state import Condition, StackState, Why
from reconciler.core.verdicts import Judgement, Review
from reconciler.store.protocol import ConfigurationState
from reconciler.web.api.schemas.effective import (
    EffectiveJson,
    GuardrailJson,
    HookJson,
    OriginJson,
    SourceJson,
    UsedContextJson,
    ValueJson,
)
from reconciler.web.api.schemas.overview import HaltJson, KeptJson
from reconciler.web.api.schemas.runs import (
    ChangeCountsJson,
    FollowJson,
    OutputChangeJson,
    PlanJson,
    ResourceChangeJson,
    ReviewJson,
    RunJson,
    VerdictJson,
    WholeRunJson,
)
from reconciler.web.api.schemas.stacks import ConditionJson, LastRunJson, OutputJson, ResourceJson, StackJson, WhyJson
from spaces.effective.stack import Content, EffectiveStack, Origin, OutputOf, RepositoryFile, Value
from spaces.model.secrets import SecretRef
from spaces.names import SpaceName


def stack_json(stack: StackState, last: Run | None, readable: Collection[SpaceName] | None = None) -> StackJson:
    """Show a stack; `last` is its newest run. Stacks outside the `readable` spaces (None: all) stay unnamed."""
    desired, applied = stack.desired, stack.applied
    return StackJson(
        id=str(stack.id),
        space=stack.id.space,
        name=stack.id.name,
        tool=desired.tool if desired else None,
        labels=dict(desired.labels) if desired else {},
        sync=stack.sync,
        reason=stack.reason,
        why=_why(stack.why),
        conditions={
            kind: ConditionJson(
                status=held.status, reason=held.reason, message=_named(held, readable), since=held.since
            )
            for kind, held in stack.conditions.items()
        },
        desired_revision=desired.revision if desired else None,
        attempted_revision=last.revision if last else None,
        applied_revision=applied.revision if applied else None,
        applied_at=applied.at if applied else None,
        last_run=LastRunJson(id=last.id, kind=last.kind, status=last.status) if last else None,
        autodeploy=desired.autodeploy if desired else False,
        suspended=is_suspended(stack),
        retained=desired is None,
    )


def _named(held: Condition, readable: Collection[SpaceName] | None) -> str:
    """Give a condition's message; what a stack waits for may lie where the reader must not look."""
    if held.reason != Reason.WAITS_FOR_DEPENDENCY or readable is None:
        return held.message
    space = held.message.partition("/")[0]
    return held.message if space in readable else "a stack that it depends on is not in sync"


def run_json(run: Run) -> RunJson:
    """Show a run."""
    return RunJson(
        id=run.id,
        stack=str(run.stack),
        kind=run.kind,
        status=run.status,
        phase=run.phase,
        reason=run.reason,
        message=run.message,
        revision=run.revision,
        person=run.person,
        why=_why(run.why),
        changes=ChangeCountsJson.model_validate(run.changes.named()),
        needs_confirmation=run.needs_confirmation,
        confirmed_by=run.confirmed_by,
        cancel_requested=run.cancel_requested,
        attempt=run.attempt,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )


def whole_run_json(
    run: Run, judgement: Judgement | None, reviews: Sequence[Review], follows: list[FollowJson]
) -> WholeRunJson:
    """Show a run with what its policies and persons said of it, and what follows it."""
    return WholeRunJson(
        **run_json(run).model_dump(by_alias=False),
        awaits_approval=run.awaits_approval,
        follows=follows,
        policies=[
            VerdictJson(
                policy=it.policy,
                type=it.type,
                enforcement="mandatory" if it.mandatory else "advisory",
                result=it.result,
                messages=list(it.messages),
                warnings=list(it.warnings),
                error=it.error,
            )
            for it in (judgement.verdicts if judgement is not None else ())
        ],
        reviews=[ReviewJson(person=it.person, approve=it.approves, note=it.note, at=it.at) for it in reviews],
    )


def plan_json(run: Run, planned: Planned) -> PlanJson:
    """Show what a plan found."""
    return PlanJson(
        run=run.id,
        has_changes=planned.has_changes,
        changes=[_change(change) for change in planned.changes],
        drifted=[_change(change) for change in planned.drifted],
        outputs=[
            OutputChangeJson(name=it.name, action=it.action, before=it.before, after=it.after, sensitive=it.sensitive)
            for it in planned.outputs
        ],
    )


def resource_json(resource: Resource) -> ResourceJson:
    """Show a resource."""
    return ResourceJson(
        address=resource.address,
        type=resource.type,
        provider=resource.provider,
        attributes=dict(resource.attributes),
    )


def output_json(output: Output) -> OutputJson:
    """Show an output; a sensitive value never gets here."""
    value = None if output.sensitive else output.value
    return OutputJson(name=output.name, value=value, sensitive=output.sensitive)


def effective_json(stack: EffectiveStack) -> EffectiveJson:
    """Show an effective configuration with where everything comes from."""
    source = stack.source
    return EffectiveJson(
        stack=str(stack.id),
        tool=stack.spec.tool,
        source=SourceJson(
            repository=f"{source.repository.space}/{source.repository.name}" if source.repository else None,
            branch=source.branch,
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
        env=[_value(name, value) for name, value in sorted(stack.env.items())],
        files=[_value(name, value) for name, value in sorted(stack.files.items())],
        hooks=[
            HookJson(when=when, phase=phase, command=hook.command, origin=_origin(hook.origin))
            for (when, phase), hooks in stack.hooks.items()
            for hook in hooks
        ],
        policies=[
            GuardrailJson(
                type=policy.spec.type, enforcement=policy.spec.enforcement, origin=_origin(Origin(policy.ref))
            )
            for policy in stack.policies
        ],
    )


def halt_json(state: ConfigurationState, *, everything: bool) -> HaltJson | None:
    """Show why nothing new comes into force, where that is so; the message, which may name stacks, not to everyone."""
    halted = state.halted
    if halted is None:
        return None
    message = halted.message if everything else "nothing new comes into force: whoever may read all spaces sees why"
    return HaltJson(reason=halted.reason, message=message, revision=halted.revision, since=halted.since)


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


def shown_url(url: str | None) -> str | None:
    """Give a repository's URL without a password or token that somebody wrote into it."""
    if url is None or "://" not in url:
        return url
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.password else url


def _why(why: tuple[Why, ...]) -> list[WhyJson]:
    return [WhyJson(component=one.component, summary=one.summary) for one in why]


def _change(change: ResourceChange) -> ResourceChangeJson:
    return ResourceChangeJson(
        address=change.address,
        type=change.type,
        provider=change.provider,
        action=change.action,
        before=change.before,
        after=change.after,
        moved_from=change.moved_from,
        imported_id=change.imported_id,
    )


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


def _value(name: str, value: Value) -> ValueJson:
    overrides = [_origin(origin) for origin in value.overrides]
    text, source, size = _shown(value.value)
    return ValueJson(name=name, value=text, source=source, size=size, origin=_origin(value.origin), overrides=overrides)


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
        case SecretRef():
            return None, str(content), None
        case OutputOf(stack, output):
            return None, f"output {output} of {stack}", None
        case _:
            assert_never(content)
