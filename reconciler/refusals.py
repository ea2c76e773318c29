"""Why the request of a person is refused: the closed set of reasons, and the exception that carries one.

Whatever a person asks for is one transaction that happens whole, or raises `OperationRefused` and changes nothing. The
API turns that into an answer.
"""

from __future__ import annotations

from enum import StrEnum

from reconciler.core.state import Desired, StackState
from reconciler.store.queries import Reading
from spaces.names import StackId


class Refusal(StrEnum):
    """Why a request is refused."""

    NOT_FOUND = "NotFound"
    NOT_IN_FORCE = "NotInForce"
    SUSPENDED = "Suspended"
    SUSPENDED_IN_GIT = "SuspendedInGit"
    LOCKED = "Locked"
    NO_SUCH_REVISION = "NoSuchRevision"
    NOT_PINNED = "NotPinned"
    FROZEN = "Frozen"
    NOT_FROZEN = "NotFrozen"
    NOT_PAUSED = "NotPaused"
    DRAINED = "Drained"
    NOT_DRAINED = "NotDrained"
    EXPIRED = "Expired"
    NOT_LOCKED = "NotLocked"
    ALREADY_RUNNING = "AlreadyRunning"
    NOT_WAITING = "NotWaiting"
    NOT_QUEUED = "NotQueued"
    WAITS_FOR_CONFIRMATION = "WaitsForConfirmation"
    ALREADY_ENDED = "AlreadyEnded"
    STILL_ACTIVE = "StillActive"
    NOT_REPEATABLE = "NotRepeatable"
    NOT_PLANNED = "NotPlanned"
    TOOL_CANNOT_TARGET = "ToolCannotTarget"
    TOOL_CANNOT_REFRESH = "ToolCannotRefresh"
    NOTHING_APPLIED = "NothingApplied"
    OUTDATED = "Outdated"
    PROBLEM = "Problem"
    PROTECTED = "Protected"
    HAS_DEPENDENTS = "HasDependents"
    TOOL_CANNOT_DESTROY = "ToolCannotDestroy"
    WAITS_FOR_DEPENDENCY = "WaitsForDependency"
    NOT_APPROVED = "NotApproved"
    TFSTATE_LOCKED = "TfstateLocked"
    TFSTATE_UNFIT = "TfstateUnfit"
    STILL_DESIRED = "StillDesired"
    NOT_CHECKABLE = "NotCheckable"
    NOT_PROPOSABLE = "NotProposable"
    NOTHING_TO_ORDER = "NothingToOrder"
    ORDERS_OFF = "OrdersOff"
    NOT_PUSHED = "NotPushed"


class OperationRefused(Exception):
    """Nothing was changed; the message is one clear sentence for a person. `cause` is the reason that it repeats."""

    def __init__(self, reason: Refusal, message: str, cause: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.cause = cause
        self.message = message


def in_force(reading: Reading, stack: StackId) -> tuple[StackState, Desired]:
    """Return a stack with what is desired of it; refused where it does not exist, or left Git."""
    found = reading.stack(stack)
    if found is None:
        raise OperationRefused(Refusal.NOT_FOUND, f"there is no stack {stack}")
    if found.desired is None:
        raise OperationRefused(
            Refusal.NOT_IN_FORCE, f"{stack} is no longer in Git: what it applied is retained, and nothing runs"
        )
    return found, found.desired
