"""What the last word of push policies about a stack means now: pure. `conditions` and `planning` ask."""

from __future__ import annotations

from reconciler.core.runs import RunKind, RunStatus
from reconciler.core.state import Heading, Push, StackState


def pushed(state: StackState) -> Push | None:
    """Return the answer of the push policies about what is desired now; None: there is none, or none yet."""
    push, desired = state.push, state.desired
    if push is None or desired is None or (push.digest, push.policies) != (desired.digest, desired.push_policies):
        return None
    return push


def to_be_pushed(state: StackState) -> bool:
    """Whether push policies have to be asked before anything runs for what is desired now."""
    return state.desired is not None and state.desired.push_policies is not None and pushed(state) is None


def held_back(state: StackState) -> Push | None:
    """Return the answer of the push policies where nothing may run: they ignore it, or its proposal was planned."""
    push = pushed(state)
    if push is None or push.heading is Heading.TRACK:
        return None
    return None if push.heading is Heading.PROPOSE and not _is_proposed(state) else push


def _is_proposed(state: StackState) -> bool:
    last, desired = state.last, state.desired
    if last is None or desired is None:
        return False
    return (last.kind, last.status, last.digest) == (RunKind.PROPOSED, RunStatus.FINISHED, desired.digest)
