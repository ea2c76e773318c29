"""The shapes of orders."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from reconciler.web.api.schemas.blueprints import RenderIn
from reconciler.web.api.schemas.shapes import Shape


class OrderIn(RenderIn):
    """An instance to order, in the blueprint's own space unless `space` names another one."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=63)


class OrderJson(Shape):
    """An instance that somebody ordered: the commit, and the branch that it lies on until a person merges it.

    `link`: where the Git server says that a merge request is opened. `inForce`: whether the instance is in force as it
    was ordered.
    """

    commit: str
    branch: str
    target: str
    file: str
    person: str
    space: str
    name: str
    blueprint: str
    version: str
    at: datetime
    link: str | None
    in_force: bool
