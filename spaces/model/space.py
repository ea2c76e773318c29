"""The Space: a node of the tree that holds all documents."""

from __future__ import annotations

from pydantic import Field

from spaces.model.base import Flag, Name, SpecModel


class SpaceSpec(SpecModel):
    """Where a space hangs in the tree, and whether it may use the contexts and repositories of its ancestors."""

    parent: Name | None = Field(None, description="The space above. Default: the space of the directory above.")
    inherit: Flag = Field(
        False, description="true: stacks here can use contexts, blueprints and repositories of the spaces above."
    )
