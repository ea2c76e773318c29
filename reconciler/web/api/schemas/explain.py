"""How a stack came to be what it is: a chain of rows of the audit."""

from __future__ import annotations

from datetime import datetime

from reconciler.web.api.schemas.runs import RunJson
from reconciler.web.api.schemas.shapes import Shape


class LinkJson(Shape):
    """One row of the audit in words. `intact`: it is what its own hash says; the whole chain has a check of its own."""

    number: int
    at: datetime
    event: str
    person: str | None
    words: str
    hash: str
    intact: bool


class AuthorRunJson(Shape):
    """A run that made or changed a resource; null fields: it is not known any more."""

    run: str
    revision: str | None
    source: str | None
    person: str | None
    at: datetime | None


class ProvenanceJson(Shape):
    """Where a resource comes from; null: from before that was noted, or made by somebody else."""

    address: str
    made: AuthorRunJson | None
    changed: AuthorRunJson | None


class ExplainJson(Shape):
    """What was applied of a stack at a time, by which run, and the chain from the commit to the apply.

    `run` is null where nothing was applied by then. `resource` is there where one was asked for.
    """

    stack: str
    at: datetime
    run: RunJson | None
    chain: list[LinkJson]
    resource: ProvenanceJson | None
