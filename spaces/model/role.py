"""The Role: a name for a set of actions, beside the built-in ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from spaces.model.base import Problem, SpecModel, list_at, matching
from spaces.model.explain import did_you_mean, shown
from spaces.names import Kind

Item = TypeVar("Item")

ANY = "*"
BUILT_IN_ROLES = ("reader", "operator", "writer", "admin")


def _noun(kind: Kind) -> str:
    return kind[:1].lower() + kind[1:]


_DOCUMENT_VERBS = ("read", "create", "update", "delete")

VERBS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {_noun(kind): _DOCUMENT_VERBS for kind in Kind}
    | {
        "run": ("read", "trigger", "confirm", "discard", "cancel", "retry", "review"),
        "task": ("read", "create"),
        "drift": ("read", "check"),
        "tfstate": ("unlock",),
        "audit": ("read",),
        "env": ("takeover",),
    }
)
"""Every kind that an action can be about, with every verb it knows: documents, and what the service does with them."""

ALL_VERBS = frozenset(verb for verbs in VERBS.values() for verb in verbs)


def wrong_action(text: str) -> tuple[str, str | None] | None:
    """Say what is wrong with `kind:verb` (with * on either side), and a hint; None when it names some action."""
    kind, colon, verb = text.partition(":")
    if not colon:
        return "is not an action", "write it as kind:verb, such as stack:update, *:read or run:*"
    if kind != ANY and kind not in VERBS:
        return f"is about {shown(kind)!r}, which is not known", did_you_mean(kind, VERBS) or _listed(VERBS)
    known = ALL_VERBS if kind == ANY else VERBS[kind]
    if verb not in (ANY, *known):
        return f"has the verb {shown(verb)!r}, which {kind} does not know", did_you_mean(verb, known) or _listed(known)
    return None


def _listed(words: Mapping[str, Any] | frozenset[str] | tuple[str, ...]) -> str:
    return f"known are {', '.join(sorted(words))}"


def _action(text: str) -> str:
    if wrong_action(text) is not None:
        raise PydanticCustomError("unknown-action", "is not an action")
    return text


def not_empty(values: tuple[Item, ...]) -> tuple[Item, ...]:
    """Refuse an empty list, after the items: what is wrong with one of them says more than that it does not count."""
    if not values:
        raise PydanticCustomError("empty-list", "is empty")
    return values


ActionPattern = Annotated[str, matching(r"^(\*|[a-z][A-Za-z]*):(\*|[a-z]+)$", 64), AfterValidator(_action)]


class RoleSpec(SpecModel):
    """What whoever has the role may do in the space of the binding and below. Reading spaces always belongs to it."""

    actions: Annotated[tuple[ActionPattern, ...], AfterValidator(not_empty)] = Field(
        description="Each as kind:verb, with * on either side for all of them.", json_schema_extra={"minItems": 1}
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Give the actions that are not known, or that are there twice."""
        if raw.get("actions") == []:
            yield Problem(("actions",), "invalid-value", "spec.actions is empty", "list at least one action")
        seen = set()
        for index, text in enumerate(list_at(raw, "actions")):
            if not isinstance(text, str):
                continue
            wrong = wrong_action(text)
            if wrong is not None:
                summary = f"spec.actions[{index}]: {shown(text)!r} {wrong[0]}"
                yield Problem(("actions", index), "unknown-action", summary, wrong[1])
            elif text in seen:
                yield Problem(("actions", index), "duplicate-value", f"the action {text} is named twice")
            seen.add(text)
