"""Role and RoleBinding: sets of actions, and who has them in a space and everything below it, until when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from spaces.model.base import Model, Name, Problem, SpecModel, list_at, matching, not_empty, text_at
from spaces.model.explain import did_you_mean, shown
from spaces.model.people import ApiKeySpec, GroupSpec, UserSpec
from spaces.model.pool import DEFAULT_POOL
from spaces.names import NAME_PATTERN, Kind, StackId

ANY = "*"
BUILT_IN_ROLES = ("reader", "operator", "writer", "admin")


_NOUNS = {Kind.CLOUD_INTEGRATION: "integration", Kind.WORKER_POOL: "pool"}


def noun(kind: Kind) -> str:
    """Return the word for a kind of document in actions."""
    return _NOUNS.get(kind) or kind[:1].lower() + kind[1:]


_DOCUMENT_VERBS = ("read", "create", "update", "delete")

VERBS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {noun(kind): _DOCUMENT_VERBS for kind in Kind}
    | {
        "stack": (*_DOCUMENT_VERBS, "lock", "unlock", "pin"),
        "run": (
            "read",
            "preview",
            "trigger",
            "confirm",
            "discard",
            "cancel",
            "retry",
            "review",
            "replan",
            "prioritize",
        ),
        "task": ("read", "create"),
        "drift": ("read", "check", "accept"),
        "tfstate": ("read", "write", "unlock"),
        "audit": ("read",),
        "env": ("takeover",),
        noun(Kind.CLOUD_INTEGRATION): (*_DOCUMENT_VERBS, "use"),
        noun(Kind.WORKER_POOL): (*_DOCUMENT_VERBS, "drain", "work"),
    }
)
"""Every kind that an action can be about, documents and things of the service, with its verbs."""

ALL_VERBS = frozenset(verb for verbs in VERBS.values() for verb in verbs)


def wrong_action(text: str) -> tuple[str, str | None] | None:
    """Return the problem of `kind:verb` (with * on either side) and a hint; None if it names an action."""
    kind, colon, verb = text.partition(":")
    if not colon:
        return "is not an action", "write it as kind:verb, such as stack:update, *:read or run:*"
    if kind != ANY and kind not in VERBS:
        return f"names the unknown kind {shown(kind)!r}", did_you_mean(kind, VERBS) or _listed(VERBS)
    known = ALL_VERBS if kind == ANY else VERBS[kind]
    if verb not in (ANY, *known):
        return f"names {shown(verb)!r}, which is not a verb of {kind}", did_you_mean(verb, known) or _listed(known)
    return None


def _listed(words: Mapping[str, Any] | frozenset[str] | tuple[str, ...]) -> str:
    return f"known are {', '.join(sorted(words))}"


def _action(text: str) -> str:
    if wrong_action(text) is not None:
        raise PydanticCustomError("unknown-action", "is not an action")
    return text


ActionPattern = Annotated[str, matching(r"^(\*|[a-z][A-Za-z]*):(\*|[a-z]+)$", 64), AfterValidator(_action)]


class RoleSpec(SpecModel):
    """The actions that holders of the role may do in the binding's space and below. Every role includes space:read."""

    actions: Annotated[tuple[ActionPattern, ...], AfterValidator(not_empty)] = Field(
        description="Actions as kind:verb; * on either side stands for all.", json_schema_extra={"minItems": 1}
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield unknown actions and duplicates."""
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


SUBJECT_KEYS = ("user", "group", "apiKey", "stack")

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time and return it in UTC; raise ValueError with the reason for any other text."""
    try:
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # the 30th of February, for one
    raise ValueError("is not a time with an offset from UTC")


def _time(value: object) -> datetime:
    try:
        return parse_time(value if isinstance(value, str) else "")
    except ValueError as wrong:
        raise PydanticCustomError("invalid-time", "{why}", {"why": str(wrong)}) from None


def _stack(text: str) -> StackId | None:
    try:
        return StackId.parse(text)
    except ValueError:
        return None


Expiry = Annotated[datetime, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]
StackName = Annotated[str, matching(rf"^(?:{NAME_PATTERN})/(?:{NAME_PATTERN})$")]


class SubjectRef(Model):
    """One subject that gets the role: exactly one of the keys."""

    user: Name | None = Field(None, description="A User by name.")
    group: Name | None = Field(None, description="A Group by name.")
    api_key: Name | None = Field(None, description="An ApiKey by name.")
    stack: StackName | None = Field(None, description="A Stack as space/name: what its runs may do.")

    @model_validator(mode="after")
    def _one(self) -> SubjectRef:
        if len(self.model_fields_set) != 1 or None in (getattr(self, key) for key in self.model_fields_set):
            raise PydanticCustomError("invalid-subject", "must name one of user, group, apiKey and stack")
        return self


class RoleBindingSpec(SpecModel):
    """A role for some subjects, in the binding's space and in everything below it."""

    role: Name = Field(description="reader, operator, writer, admin, or a Role of the root space.")
    subjects: Annotated[tuple[SubjectRef, ...], AfterValidator(not_empty)] = Field(
        description="Who has the role.", json_schema_extra={"minItems": 1}
    )
    expires: Expiry | None = Field(None, description="When it ends, as 2030-12-31T18:00:00Z. Default: never.")

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield subjects that are not exactly one thing, duplicates, and an invalid time."""
        if raw.get("subjects") == []:
            yield Problem(("subjects",), "invalid-value", "spec.subjects is empty", "name at least one subject")
        seen = set()
        for index, subject in enumerate(list_at(raw, "subjects")):
            if not isinstance(subject, dict):
                continue
            yield from _subject_problems(index, subject)
            key = tuple(sorted((str(kind), str(name)) for kind, name in subject.items()))
            if len(subject) == 1 and key in seen:
                summary = f"spec.subjects[{index}]: {shown(': '.join(key[0]))} is named twice"
                yield Problem(("subjects", index), "duplicate-value", summary)
            seen.add(key)
        if "expires" in raw:
            expires = raw["expires"]
            try:
                parse_time(expires if isinstance(expires, str) else "")
            except ValueError as wrong:
                hint = "write it as 2030-12-31T18:00:00Z or 2030-12-31T18:00:00+01:00, or leave it out"
                yield Problem(("expires",), "invalid-time", f"spec.expires {wrong}", hint)


def _subject_problems(index: int, subject: Mapping[str, Any]) -> Iterator[Problem]:
    where = ("subjects", index)
    if all(key in SUBJECT_KEYS for key in subject) and len(subject) != 1:
        summary = f"spec.subjects[{index}] must name one of user, group, apiKey and stack"
        yield Problem(where, "invalid-subject", summary, "write one subject for each")
    stack = text_at(subject, "stack")
    if stack is not None and _stack(stack) is None:
        summary = f"spec.subjects[{index}].stack must be written as space/name"
        yield Problem((*where, "stack"), "invalid-name", summary, "such as production/network")


ACCESS_SPECS: Mapping[Kind, type[RoleSpec | RoleBindingSpec | UserSpec | GroupSpec | ApiKeySpec]] = {
    Kind.ROLE: RoleSpec,
    Kind.ROLE_BINDING: RoleBindingSpec,
    Kind.USER: UserSpec,
    Kind.GROUP: GroupSpec,
    Kind.API_KEY: ApiKeySpec,
}

ROOT_ONLY = frozenset({Kind.ROLE, Kind.USER, Kind.GROUP, Kind.API_KEY})
"""The kinds whose documents may lie only in the root space."""

RESERVED_NAMES: Mapping[Kind, frozenset[str]] = {
    Kind.ROLE: frozenset(BUILT_IN_ROLES),
    Kind.WORKER_POOL: frozenset({DEFAULT_POOL}),
}
"""The names that a document of the kind may not have."""
