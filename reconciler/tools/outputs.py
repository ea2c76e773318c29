"""Outputs of tools that have none of their own: a JSON object in the file that `$STATION_OUTPUTS` names.

Each key is an output. `{"value": …, "sensitive": true}`, with exactly these two keys, marks one as sensitive;
any other value stands for itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reconciler.core.results import Output
from reconciler.tools.base import StepFailed
from reconciler.tools.files import read_json

VARIABLE = "STATION_OUTPUTS"
"""The environment variable that names the file, for the tool and for hooks."""

OUTPUTS_LIMIT = 4 * 1024 * 1024
"""Bytes of all outputs of one stack."""


def outputs_path(scratch: Path) -> Path:
    """Say where a run's outputs file is."""
    return scratch / "outputs.json"


def file_outputs(scratch: Path) -> tuple[Output, ...]:
    """Read the outputs that were written; none at all if there is no file; StepFailed if it is not a JSON object."""
    value = read_json(outputs_path(scratch), OUTPUTS_LIMIT)
    return () if value is None else object_outputs(value, "the outputs file")


def object_outputs(value: Any, what: str) -> tuple[Output, ...]:
    """Turn a JSON object into outputs; StepFailed names `what` if it is none."""
    if not isinstance(value, dict):
        raise StepFailed(f"{what} must hold one JSON object with a key for each output")
    return tuple(_output(name, content) for name, content in sorted(value.items()))


def merged(low: Iterable[Output], high: Iterable[Output]) -> tuple[Output, ...]:
    """Put two sets of outputs together; for a name in both, the second set's wins."""
    by_name = {output.name: output for output in low} | {output.name: output for output in high}
    return tuple(by_name[name] for name in sorted(by_name))


def _output(name: str, content: Any) -> Output:
    if (
        isinstance(content, dict)
        and content.keys() == {"value", "sensitive"}
        and isinstance(content["sensitive"], bool)
    ):
        return Output(name, content["value"], content["sensitive"])
    return Output(name, content)
