"""The Space: a node of the tree that holds all documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from spaces.model.base import Flag, Name, Problem, SpecModel
from spaces.model.rollout import Rollout
from spaces.model.windows import MOST_WINDOWS, Window, window_problems


class SpaceSpec(SpecModel):
    """Where a space hangs in the tree, whether it may use what its ancestors share, and when nothing is applied."""

    parent: Name | None = Field(None, description="The space above. Default: the space of the directory above.")
    inherit: Flag = Field(
        False, description="true: stacks here can use contexts, blueprints and repositories of the spaces above."
    )
    windows: tuple[Window, ...] = Field(
        (), max_length=MOST_WINDOWS, description="Freeze windows for all stacks in the space and below it."
    )
    rollout: Rollout | None = Field(
        None, description="How a revision that changes many stacks in the space and below it goes out."
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield windows that come again before they are over."""
        yield from window_problems(raw)
