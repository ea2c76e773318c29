"""Outputs of tools that have none of their own: a JSON object with a key for each output.

`{"value": …, "sensitive": true}` marks one as sensitive; a value of any other shape stands for itself.
"""

from __future__ import annotations

import json
from typing import Any

from reconciler.core.results import Output
from reconciler.tools.base import NotUnderstood


def object_outputs(value: Any, what: str) -> tuple[Output, ...]:
    """Turn a JSON object into outputs, by name; NotUnderstood names `what` if it is none."""
    if not isinstance(value, dict):
        raise NotUnderstood(f"{what} must be one JSON object with a key for each output", json.dumps(value).encode())
    return tuple(_output(name, content) for name, content in sorted(value.items()))


def _output(name: str, content: Any) -> Output:
    match content:
        case {"value": inner, "sensitive": bool(sensitive)} if len(content) == 2:
            return Output(name, inner, sensitive)
        case {"value": inner} if len(content) == 1:
            return Output(name, inner)
        case _:
            return Output(name, content)
