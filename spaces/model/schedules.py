"""The schedules of a stack: when a run, or a command of its own, comes by the clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from spaces.model.base import Command, Flag, Model, Problem, list_at
from spaces.model.times import Cron, TimeZone

MOST_SCHEDULES = 20


def _yes(value: bool) -> bool:  # noqa: FBT001 - it is the value of a key
    if not value:
        raise PydanticCustomError("invalid-value", "must be true: leave the schedule out instead")
    return value


class Schedule(Model):
    """When a run of what is desired, or a task, comes, also while the stack is Synced."""

    cron: Cron = Field(description='A cron expression of five fields, such as "0 3 * * *".')
    timezone: TimeZone = Field("UTC", description="The time zone of the expression, such as Europe/Berlin.")
    run: Annotated[Flag, AfterValidator(_yes)] | None = Field(
        None, description="true: a run of what is desired, under the same policies and confirmation as after a change."
    )
    task: Command | None = Field(
        None, description="In place of run: a shell command in the stack's directory and environment."
    )


def schedule_problems(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield schedules that say nothing of what comes, or two things."""
    for index, schedule in enumerate(list_at(spec, "schedules")):
        if not isinstance(schedule, dict):
            continue
        path, given = ("schedules", index), [key for key in ("run", "task") if schedule.get(key) is not None]
        if not given:
            hint = 'write run: true, or task: "COMMAND"'
            yield Problem(path, "missing-key", f"spec.schedules[{index}] says nothing of what comes", hint)
        elif len(given) > 1:
            summary = f"spec.schedules[{index}] has run and task: only one of them can come"
            yield Problem((*path, "task"), "invalid-value", summary, "write two schedules", at_key=True)
