"""Rollouts: how far a revision got among the stacks that it changed."""

from __future__ import annotations

from reconciler.web.api.schemas.shapes import Shape


class RolloutJson(Shape):
    """A revision on its way to the stacks of a space and below it, and how many of them stand where.

    `paused` says why a person has to resume it; null: it goes on by itself. `canaries` are counted in `stacks` too.
    """

    space: str
    revision: str
    paused: str | None
    stacks: dict[str, int]
    canaries: dict[str, int]
