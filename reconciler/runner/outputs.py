"""Outputs that hooks and commands write to the file `$STATION_OUTPUTS`, whatever the tool is."""

from __future__ import annotations

from pathlib import Path

from reconciler.core.results import Applied
from reconciler.tools.files import parse_json, read_result
from reconciler.tools.outputs import object_outputs

MAX_BYTES = 1024 * 1024
"""Outputs are values for other stacks, not files."""


def with_file_outputs(applied: Applied, path: Path) -> Applied:
    """Add what the file says, if there is one; of two outputs with one name the file's holds. StepFailed: unusable."""
    what = "the outputs file ($STATION_OUTPUTS)"
    data = read_result(path, MAX_BYTES)
    if data is None or not data.strip():
        return applied
    outputs = {output.name: output for output in (*applied.outputs, *object_outputs(parse_json(data, what), what))}
    return Applied(applied.resources, tuple(outputs.values()))
