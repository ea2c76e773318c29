"""What may be done with a stack, by the state that it is in."""

from __future__ import annotations

from .api import Json, Stack, fail, pauses, say

PATIENCE = 900.0
"""How long, in seconds, a plan waits for what somebody else does with the stack."""
_EACH = 60.0

REVIEW = "REVIEW_IN_PROGRESS"
"""An empty stack that waits for its first change set."""

_PLANNABLE = {
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
}
_ADVICE = {
    "ROLLBACK_COMPLETE": "its creation failed and was rolled back, so that it can only be deleted: "
    "station stack destroy deletes it, and the next run creates it anew",
    "ROLLBACK_FAILED": "its creation failed, and so did the rollback: look at its events, then delete it",
    "CREATE_FAILED": "its creation failed and left resources behind: look at its events, then delete it",
    "UPDATE_ROLLBACK_FAILED": "an update failed, and so did its rollback: mend what the events name, then continue the "
    "rollback (aws cloudformation continue-update-rollback)",
    "UPDATE_FAILED": "an update failed without a rollback: roll it back (aws cloudformation rollback-stack)",
    "DELETE_FAILED": "a deletion failed: look at its events, then delete it again, or retain what cannot be deleted",
    "IMPORT_ROLLBACK_FAILED": "an import failed, and so did its rollback: continue the rollback",
}


def is_busy(status: str) -> bool:
    """Whether something is at work on a stack in this state."""
    return status.endswith("_IN_PROGRESS") and status != REVIEW


def at_rest(stack: Stack) -> Json | None:
    """Return the stack once nothing is at work on it; None: there is none. It ends where that takes too long."""
    told = 0.0
    for passed in pauses():
        found = stack.describe()
        if found is None or not is_busy(found["StackStatus"]):
            return found
        status = found["StackStatus"]
        if passed >= PATIENCE:
            fail(
                f"the stack {stack.name} is {status} for {PATIENCE / 60:.0f} minutes: something else is at work on it; "
                "wait until that has ended, then retry the run"
            )
        if passed >= told:
            say(f"the stack is {status}: waiting until that has ended")
            told = passed + _EACH
    raise AssertionError


def require_plannable(name: str, status: str) -> None:
    """Go on where a change set can be made; explain every other state of a stack, with what to do."""
    if status != REVIEW and status not in _PLANNABLE:
        advice = _ADVICE.get(status, "nobody has told this program what to do in that state")
        fail(f"the stack {name} is {status}: {advice}")
