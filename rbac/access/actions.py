"""The closed list of actions, and the roles, which are sets of actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from spaces.documents.changes import Verb
from spaces.model.role import ANY, BUILT_IN_ROLES, VERBS, noun, wrong_action
from spaces.names import Kind


@dataclass(frozen=True, slots=True, order=True)
class Action:
    """One thing that a subject may do, written `kind:verb`, such as stack:update."""

    kind: str
    verb: str

    def __str__(self) -> str:
        """Return `kind:verb`."""
        return f"{self.kind}:{self.verb}"

    @classmethod
    def parse(cls, text: str) -> Action:
        """Parse `kind:verb` without any `*`; raise ValueError with the reason for any other text."""
        wrong = wrong_action(text)
        if wrong is not None:
            raise ValueError(f"{text[:80]!r} {wrong[0]} ({wrong[1]})" if wrong[1] else f"{text[:80]!r} {wrong[0]}")
        if ANY in text:
            raise ValueError(f"{text!r} stands for several actions; name one")
        kind, _, verb = text.partition(":")
        return cls(kind, verb)


Actions: TypeAlias = frozenset[Action]

ACTIONS: Actions = frozenset(Action(kind, verb) for kind, verbs in VERBS.items() for verb in verbs)
"""Every action that exists."""

SPACE_READ = Action("space", "read")
"""To know that a space exists; every role contains it."""

ENV_TAKEOVER = Action("env", "takeover")
"""To set a variable that decides which program runs, in a document that one may change."""


INTEGRATION_USE = Action("integration", "use")
"""To let a stack of the space use a cloud integration that flows there."""

TFSTATE_READ = Action("tfstate", "read")
"""To read a tfstate as it is, with the secrets in it. `*:read` does not contain it: readers see no secret in clear."""

EVERY_READ = f"{ANY}:read"


def on_document(kind: Kind, verb: Verb) -> Action:
    """Return the action that a change of a document is. A move is an update, and both of its ends must allow it."""
    return Action(noun(kind), Verb.UPDATE.value if verb is Verb.MOVE else verb.value)


def to_read(kind: Kind) -> Action:
    """Return the action that reading a document is."""
    return Action(noun(kind), "read")


@lru_cache(maxsize=4096)
def expand(patterns: tuple[str, ...]) -> Actions:
    """Return the actions that a role's list stands for, always with space:read.

    Raise ValueError for an unknown action.
    """
    actions = {SPACE_READ}
    for pattern in patterns:
        if wrong_action(pattern) is not None:
            raise ValueError(f"{pattern[:80]!r} is not an action")
        kind, _, verb = pattern.partition(":")
        meant = {action for action in ACTIONS if kind in (ANY, action.kind) and verb in (ANY, action.verb)}
        if pattern == EVERY_READ:
            meant.discard(TFSTATE_READ)
        actions |= meant
    return frozenset(actions)


# Who puts a run first makes other spaces wait: that is not for everybody who steers runs.
_RUNS = tuple(f"run:{verb}" for verb in VERBS["run"] if verb != "prioritize")
_STEERING = (*_RUNS, "task:*", "drift:*", "stack:lock", "stack:pin")
_WRITTEN = ("stack", "context", "blueprintInstance", "notifier")

_READER = (EVERY_READ,)
_OPERATOR = (*_READER, *_STEERING)
_CHANGES = ("create", "update", "delete")
_WRITER = (*_OPERATOR, str(INTEGRATION_USE), *(f"{kind}:{verb}" for kind in _WRITTEN for verb in _CHANGES))
_ADMIN = ("*:*",)

BUILT_IN: Mapping[str, Actions] = MappingProxyType(
    {role: expand(actions) for role, actions in zip(BUILT_IN_ROLES, (_READER, _OPERATOR, _WRITER, _ADMIN), strict=True)}
)
"""The roles that always exist. Each contains the one before it."""


def summarize(actions: Iterable[Action]) -> str:
    """Return a set of actions in the short form that roles use: `kind:*` for a whole kind, `*:*` for all."""
    given = frozenset(actions)
    if given == ACTIONS:
        return f"{ANY}:{ANY}"
    words = []
    for kind, verbs in VERBS.items():
        held = [verb for verb in verbs if Action(kind, verb) in given]
        words += [f"{kind}:{ANY}"] if len(held) == len(verbs) > 1 else [f"{kind}:{verb}" for verb in held]
    return ", ".join(sorted(words))
