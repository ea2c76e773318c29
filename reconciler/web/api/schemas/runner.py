"""What workers on other machines send and get. What a leg is to do, and how it ended, is JSON of the runner's own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Base64Bytes, BaseModel, Field, StringConstraints

from reconciler.core.phases import Leg
from reconciler.web.api.schemas.shapes import Shape
from spaces.model.pool import EngineName

WorkerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,126}[A-Za-z0-9])?$")]
RunName = Annotated[str, StringConstraints(pattern=r"^[0-9a-z]{26}$")]

ToolKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
ToolVersion = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")]


class HelloBody(Shape):
    """A worker that is there. `kept` are the runs whose files it still has."""

    worker: WorkerName = Field(description="The worker's name, the same after each of its starts.")
    version: str = Field(max_length=64, description="The worker's version, which must be the service's.")
    kept: list[RunName] = Field(default_factory=list, max_length=1000)
    places: int = Field(1, ge=0, le=1000, description="How many runs the worker does at once.")
    tools: dict[ToolKey, Annotated[list[ToolVersion], Field(max_length=100)]] | None = Field(
        None, max_length=100, description="The tools that it found, each with its versions; null while it looks."
    )


class WantedBody(Shape):
    """A leg that a message named."""

    run: RunName
    attempt: int = Field(ge=0, lt=2**31)
    leg: Leg


class ClaimBody(HelloBody):
    """A worker that has a free place. `wanted`: the leg that a message named; null: it takes any, and waits for it."""

    wanted: WantedBody | None = None


class HelloJson(Shape):
    """The pool's engine, the seconds until a worker should say again that it is there, and the runs that are over."""

    engine: EngineName
    again: float
    over: list[str]


class LegJson(Shape):
    """A leg that is offered. The token opens this leg of this attempt, and nothing else."""

    token: str
    run: str
    attempt: int
    leg: str


class ClaimJson(Shape):
    """The answer to a worker: a leg, or null where there was none for a while; and the runs that are over.

    `elsewhere`: the wanted leg still waits for another worker, or another service has it.
    """

    leg: LegJson | None
    over: list[str]
    elsewhere: bool = False


class TakeQuery(BaseModel):
    """Who takes a leg up. `fresh`: a new token comes in the header Station-Token, and the one shown opens nothing."""

    worker: WorkerName
    fresh: bool = False


class LogQuery(BaseModel):
    """Where a piece of a log begins."""

    offset: int = Field(ge=0)


class BeatJson(Shape):
    """What a worker has to know: whether to stop its tool, and new tokens for files of the run's identity."""

    cancel: bool
    tokens: dict[str, str]


class RestBody(Shape):
    """The rest of a run's log, which comes with the end of a leg."""

    offset: int = Field(ge=0)
    base64: Base64Bytes


class SizeJson(Shape):
    """How many bytes of a run's log the service has."""

    size: int


class EndedJson(Shape):
    """That the end of a leg is recorded."""

    recorded: bool
