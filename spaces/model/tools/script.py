"""The commands of a script."""

from __future__ import annotations

from pydantic import Field

from spaces.model.base import Command
from spaces.model.tool import ToolDescription, ToolSettings


class ScriptSettings(ToolSettings):
    """Shell commands that make up a stack of the tool script. They run in the source's directory."""

    plan: Command | None = Field(
        None,
        description="Exits 0 for no changes, 2 for changes; anything else is a failure. May name the changes in "
        "$STATION_PLAN.",
    )
    apply: Command = Field(description="Makes the changes.")
    destroy: Command | None = Field(None, description="Removes what the script made, when the stack is destroyed.")
    outputs: Command | None = Field(
        None, description="Prints the outputs as one JSON object, or writes it to $STATION_OUTPUTS."
    )


TOOL = ToolDescription(
    "script",
    ScriptSettings,
    "The commands of a script.",
    needs_source=False,
    has_version=False,
    repeatable=False,
    destroys_by="destroy",
)
