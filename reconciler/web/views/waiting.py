"""What waits for a person: plans, held changes and stacks that stand still, with what can be done about each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from reconciler.core.reasons import Reason
from reconciler.core.state import ConditionType
from reconciler.web.api.schemas.admission import HeldJson
from reconciler.web.api.schemas.rollouts import RolloutJson
from reconciler.web.api.schemas.runs import RunJson
from reconciler.web.api.schemas.stacks import StackJson
from reconciler.web.views.actions import ActionView, resume_action
from reconciler.web.views.changes import Count, summary
from reconciler.web.views.standing import sentence, stack_standing
from reconciler.web.views.tones import Tone, condition_of, stack_tone
from spaces.names import SpaceName


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that waits. `yours`: the person who looks at it may do what it waits for."""

    tone: Tone
    word: str
    title: str
    path: str
    text: str
    since: datetime | None
    counts: tuple[Count, ...] = ()
    yours: bool = True
    action: ActionView | None = None
    """What can be done about it right here, by a form that leads to `path_of_action`."""
    path_of_action: str = ""


def waiting(  # noqa: PLR0917
    runs: Iterable[RunJson],
    stalled: Iterable[StackJson],
    drifted: Iterable[StackJson],
    held: Iterable[HeldJson],
    rollouts: Iterable[RolloutJson],
    may: Callable[[str, SpaceName], bool],
) -> list[Item]:
    """Return what waits, what the person can do something about first. `may`: whether they have a right in a space."""
    items = [_run(run, may) for run in runs]
    items += [_rollout(each, may) for each in rollouts if each.paused is not None]
    items += [_stack(stack, may) for stack in stalled]
    items += [_held(each) for each in held]
    items += [_stack(stack, may) for stack in drifted if stack_tone(stack) is Tone.WAITING]
    return sorted(items, key=lambda item: not item.yours)


def _run(run: RunJson, may: Callable[[str, SpaceName], bool]) -> Item:
    space = SpaceName(run.stack.partition("/")[0])
    approval, frozen = run.reason == Reason.WAITS_FOR_APPROVAL, run.reason == Reason.FROZEN
    return Item(
        Tone.WAITING,
        "frozen" if frozen else "review" if approval else "confirm",
        run.stack,
        f"/runs/{run.id}",
        sentence(run.message),
        run.created_at,
        summary(run.changes.by_action),
        not frozen and may("run:review" if approval else "run:confirm", space),
    )


def _stack(stack: StackJson, may: Callable[[str, SpaceName], bool]) -> Item:
    standing = stack_standing(stack)
    kind = ConditionType.STALLED if standing.tone is Tone.BAD else ConditionType.DRIFTED
    since = condition_of(stack, kind).since
    text = f"{standing.why} {standing.advice}".strip()
    yours = may("run:trigger", SpaceName(stack.space))
    return Item(standing.tone, standing.word, stack.id, f"/stacks/{stack.id}", text, since, yours=yours)


def _rollout(rollout: RolloutJson, may: Callable[[str, SpaceName], bool]) -> Item:
    counts = ", ".join(f"{count} {part}" for part, count in rollout.stacks.items())
    text = f"{sentence(rollout.paused or '')} Of its stacks: {counts}."
    space = SpaceName(rollout.space)
    return Item(
        Tone.BAD,
        "rollout",
        f"{rollout.space} at {rollout.revision[:10]}",
        f"/stacks?space={rollout.space}&subtree=true",
        text,
        None,
        yours=may("run:trigger", space),
        action=resume_action(lambda right: may(right, space)),
        path_of_action=f"/rollouts/{rollout.space}",
    )


def _held(held: HeldJson) -> Item:
    title = f"{held.verb} {held.kind} {held.space}/{held.name}"
    # Whether one may approve it is decided when one does: the right is named by the rules of that moment.
    return Item(Tone.WAITING, "held", title, f"/held/{held.id}", sentence(held.message), None)
