"""How often a run that failed by its tool is tried again, without anybody asking."""

from __future__ import annotations

from pydantic import Field

from spaces.model.base import Model, Number
from spaces.model.durations import Duration

_SHORTEST = 30


class Retry(Model):
    """How often, and after how long."""

    limit: Number = Field(description="How many times, from 1 to 10.", ge=1, le=10)
    backoff: Duration = Field(
        _SHORTEST, description="How long to wait before the first time; twice as long before each further one."
    )
