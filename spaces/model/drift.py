"""The settings of a stack's drift checks: when they come, what they overlook, and what follows from drift."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from spaces.model.base import Line, Model, not_empty
from spaces.model.times import Cron, TimeZone

_MOST_SCHEDULES = 20
_MOST_IGNORED = 100


class Repair(StrEnum):
    """What follows when a check finds drift. In documents: `false`, `safe` or `true`."""

    NEVER = "false"
    SAFE = "safe"
    """A run puts it right; where that would delete or replace something, the run waits for a person."""
    ALWAYS = "true"


def _repair(value: object) -> Repair:
    if isinstance(value, bool):
        return Repair.ALWAYS if value else Repair.NEVER
    if value == Repair.SAFE.value:
        return Repair.SAFE
    raise PydanticCustomError("invalid-reconcile", "must be true, false or safe")


class IgnoredDrift(Model):
    """Differences that are no drift."""

    address: Line = Field(
        description="The resource's address; * stands for any characters, as in aws_autoscaling_group.*."
    )
    attributes: tuple[Line, ...] = Field(
        (),
        max_length=_MOST_IGNORED,
        description="The attributes whose differences are overlooked, by their outermost name. "
        "Left out: whatever happens to the resource.",
    )

    def covers(self, address: str) -> bool:
        """Whether this is about the resource."""
        return fnmatchcase(address, self.address.replace("[", "[[]"))


class Drift(Model):
    """When the real world is compared with what was applied, and what follows from a difference."""

    schedules: Annotated[tuple[Cron, ...], AfterValidator(not_empty)] = Field(
        max_length=_MOST_SCHEDULES,
        description='When to check, as cron expressions of five fields, such as "*/30 * * * *".',
    )
    timezone: TimeZone = Field("UTC", description="The time zone of the schedules, such as Europe/Berlin.")
    reconcile: Annotated[
        Repair,
        BeforeValidator(_repair),
        WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["safe"]}]}),
    ] = Field(
        Repair.NEVER,
        description="true: a run under the same policies puts drift right. safe: likewise, but it waits for a "
        "person's confirmation where it would delete or replace something.",
    )
    ignore: tuple[IgnoredDrift, ...] = Field(
        (), max_length=_MOST_IGNORED, description="Differences that are not counted as drift."
    )
