"""Why a stack or a run is in its state, in one sentence, and what somebody can do about it in another."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.reasons import RETRYABLE, TOOL_FAILURES, Reason
from reconciler.core.runs import RunStatus
from reconciler.core.state import ConditionStatus, ConditionType
from reconciler.web.api.schemas.runs import RunJson
from reconciler.web.api.schemas.stacks import StackDetailJson, StackJson
from reconciler.web.views.tones import Tone, condition_of, is_drifted, run_tone, stack_tone


@dataclass(frozen=True, slots=True)
class ShownState:
    """The state of something: its tone, its word (the reason), why, and what to do (may be empty)."""

    tone: Tone
    word: str
    why: str
    advice: str = ""


_RETRY = "Read the log of the last run, fix the cause, then retry the run or change the configuration."

_STACK_ADVICE: dict[str, str] = {
    Reason.RETAINED: "Nothing runs for it. Put the document back into Git to manage it again.",
    Reason.LEAVING: "Put the document back into Git to keep it, or suspend the stack.",
    Reason.DESTROYED: "There is nothing to do.",
    Reason.SUSPENDED: "Resume the stack here, or change spec.suspended in its document.",
    Reason.FROZEN: "There is nothing to do. A person who holds the role that the window names can let its run through.",
    Reason.WAITS_FOR_ROLLOUT: "There is nothing to do, unless its rollout is paused: then resume it by its space.",
    Reason.EXPIRED: "Change spec.ttl or spec.destroyAt in its document to bring it back.",
    Reason.LOCKED: "Wait until the lock ends, or ask the person who locked it to unlock it.",
    Reason.PARTLY_APPLIED: "Start a run to apply the rest.",
    Reason.PINNED: "End the pin here, or change the stack in Git.",
    Reason.PIN_UNUSABLE: "Pin the stack to another revision, or end the pin.",
    Reason.WAITS_FOR_DEPENDENCY: "Fix the stack that it waits for; this one then runs by itself.",
    Reason.WAITS_FOR_CONFIRMATION: "Read the plan of its run, then confirm or discard it.",
    Reason.WAITS_FOR_APPROVAL: "Read the plan of its run, then review it.",
    Reason.IGNORED_BY_POLICY: "There is nothing to do. Start a run to apply it anyway.",
    Reason.PROPOSED_BY_POLICY: "There is nothing to do. Start a run to apply what was proposed.",
    Reason.POLICY_FAILED: "Fix the policy, or start a run.",
    Reason.POLICY_DENIED: "Change the configuration so that the policy allows it, or change the policy.",
    Reason.REJECTED_BY_POLICY: "Change the configuration, or ask the reviewers and retry the run.",
    Reason.INTERRUPTED: "Check the resources, then start a run: its plan waits for your confirmation.",
    Reason.OUTPUT_MISSING: "Correct the name of the output, or add the output to the other stack.",
    Reason.MOVE_BLOCKED: "Wait until the run of the stack under its old name has ended.",
    Reason.SOURCE_NOT_FOUND: "Correct spec.source in the document, or push the missing path.",
    Reason.TOOL_MISSING: "Install the tool where the service looks for it, then retry the run.",
    Reason.CANCELED: "Retry the run when you are ready.",
    Reason.DISCARDED: "Retry the run, or change the configuration.",
}

_RUN_ADVICE: dict[str, str] = {
    Reason.FROZEN: "There is nothing to do. A person who holds the role that the window names can let it through.",
    Reason.WAITS_FOR_CONFIRMATION: "Read the plan below, then confirm or discard it.",
    Reason.WAITS_FOR_APPROVAL: "Read the plan below, then approve or reject it.",
    Reason.INTERRUPTED: "It is unknown how far it got: check the resources. The next run waits for confirmation.",
    Reason.POLICY_DENIED: "Change the configuration so that the policy allows it, or change the policy.",
    Reason.SUPERSEDED: "A newer run has taken its place.",
    Reason.CANCELED: "Retry it when you are ready.",
    Reason.DISCARDED: "Retry it to plan again.",
}

_RUN_STATES = {
    RunStatus.QUEUED: "It waits for a free slot.",
    RunStatus.PLANNING: "It is planning.",
    RunStatus.APPLYING: "It is applying its plan.",
    RunStatus.UNCONFIRMED: "It has planned changes and waits.",
    RunStatus.FINISHED: "It finished.",
    RunStatus.FAILED: "It failed.",
    RunStatus.INTERRUPTED: "Its process died during the apply.",
    RunStatus.CANCELED: "It was canceled.",
    RunStatus.DISCARDED: "It was discarded.",
    RunStatus.SUPERSEDED: "A newer run took its place.",
}


def stack_standing(stack: StackJson) -> ShownState:
    """Return why a stack is in its state."""
    tone, ready = stack_tone(stack), condition_of(stack, ConditionType.READY)
    stalled = condition_of(stack, ConditionType.STALLED)
    if stack.reason == Reason.UP_TO_DATE and tone in {Tone.GOOD, Tone.WAITING}:
        applied = f"revision {stack.applied_revision[:10]} is applied" if stack.applied_revision else "all is applied"
        if is_drifted(stack):
            drift = condition_of(stack, ConditionType.DRIFTED).message
            why = f"{applied[0].upper()}{applied[1:]}, and the real world has changed since: {drift}."
            return ShownState(tone, Reason.DRIFTED, why, "Start a run to restore it, or change the configuration.")
        return ShownState(tone, stack.reason, f"Up to date: {applied}.")
    advice = _STACK_ADVICE.get(stack.reason, "")
    if stack.reason in RETRYABLE | TOOL_FAILURES and stalled.status != ConditionStatus.TRUE:
        advice = "The service tries again by itself."
    elif not advice and tone is Tone.BAD:
        advice = _RETRY
    waits = stack.waits if isinstance(stack, StackDetailJson) else None
    said = "; ".join(filter(None, (ready.message, waits)))
    return ShownState(tone, stack.reason, sentence(said) or f"{stack.sync}.", advice)


def run_standing(run: RunJson) -> ShownState:
    """Return why a run is in its state."""
    status, tone = RunStatus(run.status), run_tone(run.status)
    said = sentence(run.message) or _RUN_STATES[status]
    advice = _RUN_ADVICE.get(run.reason, "")
    if run.reason == Reason.FROZEN and run.through is not None:
        advice = "It goes on by itself."
    if status is RunStatus.FAILED and not advice:
        again = "The service retries it by itself." if run.reason in RETRYABLE else "Fix the cause, then retry it."
        advice = f"The log has the details. {again}"
    return ShownState(tone, run.status, said, advice)


def sentence(text: str) -> str:
    """Return a message as a sentence of its own; empty for an empty one."""
    text = text.strip()
    if not text:
        return ""
    # A word with a slash or dot is a name, and names stay as they are.
    first = text.split(maxsplit=1)[0]
    text = text[0].upper() + text[1:] if first.isalpha() else text
    return text if text[-1] in ".!?" else f"{text}."
