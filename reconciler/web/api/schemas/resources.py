"""The shapes of the resources of all stacks."""

from __future__ import annotations

from reconciler.web.api.schemas.explain import AuthorRunJson
from reconciler.web.api.schemas.shapes import Shape
from reconciler.web.api.schemas.stacks import ResourceJson


class PlacedResourceJson(ResourceJson):
    """A resource with the stack that it belongs to.

    `drift`: how it differs from what was applied, if it does. `health`: what its tool says of it, where one does so.
    `ready` and `reason`: of its stack. `made` and `changed`: the runs that made it and changed it last, where that is
    known, for who may read runs. `alsoIn`: the other stacks that have it, by its ARN or its identifier; where there are
    many, the first of them.
    """

    stack: str
    drift: str | None
    health: str | None
    ready: bool | None
    reason: str | None
    made: AuthorRunJson | None
    changed: AuthorRunJson | None
    also_in: list[str]


class ResourceGroupJson(Shape):
    """Resources with the same space, stack, provider or type: their number, and that of their stacks.

    `drifted` and `unready` count the stacks that have drifted, and those that are not Ready.
    """

    name: str
    resources: int
    stacks: int
    drifted: int
    unready: int
