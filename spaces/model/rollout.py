"""How a revision that changes many stacks goes out: a few at a time, some first, and no further after failures."""

from __future__ import annotations

from pydantic import Field

from spaces.model.base import MOST_LABELS, LabelKey, LabelValue, Model, Number

_MOST = 10_000


class Canary(Model):
    """The stacks that go first."""

    match_labels: dict[LabelKey, LabelValue] = Field(
        min_length=1, max_length=MOST_LABELS, description="Labels of the stacks that go first."
    )


class Rollout(Model):
    """How the stacks that one revision changes are let go."""

    max_parallel: Number | None = Field(
        None, ge=1, le=_MOST, description="How many of the stacks have a run at a time. Default: any number."
    )
    pause_after_failures: Number = Field(
        1, ge=1, le=_MOST, description="How many failed stacks pause the rest, until a person resumes it."
    )
    canary: Canary | None = Field(
        None, description="Stacks that go first: the rest waits until they are in sync, and a failure of one pauses it."
    )
