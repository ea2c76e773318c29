"""What a decision rests on, in the words that everyone reads: command line, API, page, audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rbac.actions import Action
from rbac.grants import Grant
from rbac.subjects import Subject
from spaces.model.explain import shown
from spaces.names import SpaceName

_NAMED = 3


def basis(grant: Grant, subject: Subject, seen: SpaceName | None = None) -> str:
    """Say by what somebody holds a role; `seen` is the space above that they only see because of it."""
    binding = grant.binding
    how = f"binding {binding.space}/{binding.name}" if binding is not None else "the service's settings"
    text = f"{grant.role} in {grant.space} by {how}"
    if grant.holder != f"{subject.kind}:{subject.name}":
        text += f", through {grant.holder.replace(':', ' ', 1)}"
    if grant.expires is not None:
        text += f", until {stamp(grant.expires)}"
    return text if seen is None else f"{text}: {grant.space} inherits from {seen}"


def refusal(subject: Subject, action: Action, space: SpaceName) -> str:
    """Say which right is missing. The words are the same for a space that is not there."""
    return f"{shown(str(subject))} has no role that gives {action} in {shown(space)}"


def advice(action: Action, space: SpaceName, givers: Sequence[Subject]) -> str:
    """Say who could give a right, as far as the reader may know; without `givers` in general terms."""
    named = ", ".join(str(giver) for giver in givers[:_NAMED])
    more = f" and {len(givers) - _NAMED} more" if len(givers) > _NAMED else ""
    who = f"{named}{more}" if givers else f"whoever is admin of {space}"
    return f"a binding in {space} or above could give {action}; {who} can write it"


def stamp(time: datetime) -> str:
    """Write a time as it would stand in a document."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
