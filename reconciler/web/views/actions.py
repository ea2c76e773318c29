"""What can be done with a run or a stack as it is now, and which right each takes.

Only what makes sense is offered; whether it is allowed is decided when somebody does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.core.reasons import Reason
from reconciler.core.runs import ACTIVE, RunKind, RunStatus
from reconciler.core.state import ConditionStatus, ConditionType, Sync
from reconciler.operations import REPEATABLE
from reconciler.web.api.schemas.pools import PoolJson
from reconciler.web.api.schemas.runs import PlanJson, WholeRunJson
from reconciler.web.api.schemas.stacks import StackJson
from reconciler.web.views.tones import condition_of
from spaces.model.policy import PolicyType

_FEWEST = 2
"""With so many changes, some of them can be planned without the others."""
_LISTED = 100

May = Callable[[str], bool]
"""Whether the person has a right where the run or stack is."""


@dataclass(frozen=True, slots=True)
class ActionView:
    """One button. `main`: what most people came for. `lacks`: the right that the person does not have."""

    verb: str
    label: str
    main: bool = False
    danger: bool = False
    lacks: str = ""


def run_actions(run: WholeRunJson, may: May) -> tuple[ActionView, ...]:
    """Return what can be done with a run, without reviews."""
    status = RunStatus(run.status)
    if status is RunStatus.UNCONFIRMED:
        discard = _action("discard", "Discard", "run:discard", may)
        if run.reason == Reason.FROZEN:
            through = _action("through", "Let it through the freeze", "run:confirm", may, danger=True)
            return (through, discard) if run.through is None else (discard,)
        if run.awaits_approval or run.confirmed_by is not None:
            return (discard,)
        destroys = bool(run.changes.delete or run.changes.replace) or run.kind == RunKind.DESTROY
        label = "Confirm and destroy" if destroys else "Confirm"
        return _action("confirm", label, "run:confirm", may, main=True, danger=destroys), discard
    if status in ACTIVE:
        waits = status is RunStatus.QUEUED and not run.prioritized
        first = (_action("prioritize", "Start first", "run:prioritize", may),) if waits else ()
        return () if run.cancel_requested else (*first, _action("cancel", "Cancel", "run:cancel", may))
    if status in REPEATABLE and run.kind == RunKind.TRACKED:
        return (_action("retry", "Retry", "run:retry", may, main=True),)
    return ()


def is_active(status: str) -> bool:
    """Whether a run with this status has not ended yet."""
    return RunStatus(status) in ACTIVE


def can_be_reviewed(run: WholeRunJson) -> bool:
    """Whether a review of the run may still change something: an approval policy may ask for one."""
    asked = run.awaits_approval or any(verdict.type == PolicyType.APPROVAL for verdict in run.policies)
    return asked and RunStatus(run.status) is RunStatus.UNCONFIRMED


def stack_actions(stack: StackJson, person: str, may: May) -> tuple[ActionView, ...]:
    """Return what a person can do with a stack. While it is locked, no run starts for it, whoever asks."""
    if stack.retained:
        return ()
    if stack.lock is not None:
        # To end somebody else's lock takes more than to end one's own.
        right = "stack:lock" if stack.lock.person == person else "stack:unlock"
        return (_action("unlock", "Unlock", right, may, main=True),)
    if stack.suspended:
        return (_action("resume", "Resume", "run:trigger", may, main=True),)
    busy = stack.last_run is not None and is_active(stack.last_run.status)
    run = () if busy else (_action("run", "Run now", "run:trigger", may, main=True),)
    checkable = not busy and stack.sync == Sync.SYNCED
    plan = () if busy else (_action("plan", "Plan only", "run:preview", may),)
    check = (_action("drift", "Check drift", "drift:check", may),) if checkable else ()
    unpin = (_action("unpin", "End the pin", "stack:pin", may),) if stack.pin is not None else ()
    return (*run, *plan, *check, *unpin, _action("suspend", "Suspend", "run:cancel", may))


def resume_action(may: May) -> ActionView:
    """Return what can be done with a paused rollout."""
    return _action("resume", "Let it go on", "run:trigger", may)


def pool_action(pool: PoolJson, may: May) -> ActionView:
    """Return what can be done with a worker pool."""
    if pool.drained is not None:
        return _action("resume", "Let it start runs", "pool:drain", may)
    return _action("drain", "Drain", "pool:drain", may)


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of a form. `lines`: how many it shows; `hint`: what to write; `value`: what stands there already."""

    name: str
    label: str
    hint: str = ""
    lines: int = 1
    required: bool = True
    value: str = ""


@dataclass(frozen=True, slots=True)
class ActionForm:
    """An action that needs more than a button, or a thought before it: `what` says what it does."""

    action: ActionView
    what: str
    fields: tuple[FormField, ...] = ()


_NOTE = FormField("note", "Why", "for the others")


def _until(otherwise: str) -> FormField:
    return FormField("duration", f"For how long (empty: until {otherwise})", "4h or 2d", required=False)


def stack_forms(stack: StackJson, may: May) -> tuple[ActionForm, ...]:
    """Return what can be done with a stack beside its buttons. While it is locked, that is nothing."""
    if stack.retained:
        what = "Remove what the service knows of the stack. What it made stays where it is."
        return (ActionForm(_action("forget", "Forget the stack", "stack:delete", may, danger=True), what),)
    if stack.lock is not None:
        return ()
    lock = ActionForm(
        _action("lock", "Lock", "stack:lock", may),
        "No run starts until the lock ends.",
        (_NOTE, _until("somebody unlocks it")),
    )
    pin = ActionForm(
        _action("pin", "Pin", "stack:pin", may),
        "The stack stays at, or goes back to, what it was then, while the rest of the branch goes on.",
        (FormField("at", "At", "a commit, or a run of the stack"), _NOTE, _until("a commit changes the stack")),
    )
    task = ActionForm(
        _action("task", "Run the command", "task:create", may),
        "A shell command in the stack's directory and environment. It is a run, with a log.",
        (FormField("command", "Command", "tofu state list", lines=3),),
    )
    accept = ActionForm(
        _action("refresh", "Accept the drift", "drift:accept", may),
        "The tool takes over into its tfstate what the real world has. Nothing else changes.",
    )
    destroy = ActionForm(
        _action("destroy", "Plan the destruction", "stack:delete", may, danger=True),
        "The plan lists what would go, and waits for a confirmation. Afterwards the stack is suspended.",
    )
    drifted = condition_of(stack, ConditionType.DRIFTED).status == ConditionStatus.TRUE
    return (*((accept,) if drifted else ()), lock, *((pin,) if stack.pin is None else ()), task, destroy)


def run_forms(run: WholeRunJson, plan: PlanJson | None, may: May) -> tuple[ActionForm, ...]:
    """Return what can be done with a run beside its buttons: of a plan that was not applied, a part."""
    status = RunStatus(run.status)
    fits = status in {RunStatus.UNCONFIRMED, RunStatus.SUPERSEDED, *REPEATABLE} and run.kind == RunKind.TRACKED
    addresses = [change.address for change in plan.changes] if plan is not None and fits else []
    if len(addresses) < _FEWEST:
        return ()
    lines = "\n".join(addresses[:_LISTED])
    field = FormField("targets", "Only these resources, one a line", lines=min(len(addresses), 8), value=lines)
    what = "A new run plans what you leave, and waits for a person. Until all is applied, the stack stays out of sync."
    return (ActionForm(_action("replan", "Plan only these", "run:replan", may), what, (field,)),)


def _action(verb: str, label: str, right: str, may: May, *, main: bool = False, danger: bool = False) -> ActionView:
    return ActionView(verb, label, main, danger, "" if may(right) else right)
