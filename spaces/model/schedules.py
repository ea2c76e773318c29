"""The schedules of a stack: when a run comes by the clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from spaces.model.base import Flag, Model
from spaces.model.times import Cron, TimeZone

MOST_SCHEDULES = 20


def _yes(value: bool) -> bool:  # noqa: FBT001 - it is the value of a key
    if not value:
        raise PydanticCustomError("invalid-value", "must be true: leave the schedule out instead")
    return value


class Schedule(Model):
    """When a run of what is desired comes, also while the stack is Synced."""

    later: ClassVar[Mapping[str, str]] = {"task": "tasks on schedule"}

    cron: Cron = Field(description='A cron expression of five fields, such as "0 3 * * *".')
    timezone: TimeZone = Field("UTC", description="The time zone of the expression, such as Europe/Berlin.")
    run: Annotated[Flag, AfterValidator(_yes)] = Field(
        description="true: a run of what is desired, under the same policies and confirmation as after a change."
    )
