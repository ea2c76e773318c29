"""The RoleBinding: who has a role in a space and everything below it, and until when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from spaces.model.base import Model, Name, Problem, SpecModel, list_at, matching, text_at
from spaces.model.explain import shown
from spaces.model.role import not_empty
from spaces.names import NAME_PATTERN, StackId

SUBJECT_KEYS = ("user", "group", "apiKey", "stack")

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


def parse_time(text: str) -> datetime:
    """Read a time by RFC 3339 as a time of UTC; ValueError says what is wrong with anything else."""
    try:
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # the 30th of February, for one
    raise ValueError("is not a time with its distance to UTC")


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
    """One who gets the role: exactly one of the keys."""

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
    expires: Expiry | None = Field(None, description="When it ends, as 2030-12-31T18:00:00Z; left out: never.")

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Give subjects that are not exactly one thing or are there twice, and a time that is none."""
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
        yield Problem(where, "invalid-subject", summary, "make a subject of its own for each")
    stack = text_at(subject, "stack")
    if stack is not None and _stack(stack) is None:
        summary = f"spec.subjects[{index}].stack must be written as space/name"
        yield Problem((*where, "stack"), "invalid-name", summary, "such as production/network")
