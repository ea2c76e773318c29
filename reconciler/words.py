"""Texts that several parts of the service write: errors of pydantic in plain words, and times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic_core import ErrorDetails

_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "extra_forbidden": lambda _: "is not known",
    "greater_than": lambda told: f"must be more than {told['gt']:g}",
    "greater_than_equal": lambda told: f"must be at least {told['ge']:g}",
    "less_than": lambda told: f"must be less than {told['lt']:g}",
    "less_than_equal": lambda told: f"must be at most {told['le']:g}",
    "string_too_long": lambda told: f"is longer than {told['max_length']} characters",
    "string_too_short": lambda told: f"is shorter than {told['min_length']} characters",
    "too_long": lambda told: f"has more than {told['max_length']} entries",
    "string_pattern_mismatch": lambda told: f"is not of the form {told['pattern']}",
    "enum": lambda told: f"must be {told['expected']}",
    "literal_error": lambda told: f"must be {told['expected']}",
    "json_invalid": lambda told: f"is not JSON: {told['error']}",
}

_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "mapping": "a mapping",
}
"""What is wanted, by the beginning of an error's type."""


def moment(time: datetime) -> str:
    """Return a time for other programs, to the second, in UTC."""
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def plain(failure: ErrorDetails) -> str:
    """Return why a value is refused, as the end of a sentence that begins with its name."""
    kind = failure["type"]
    if kind in _SENTENCES:
        return _SENTENCES[kind](failure.get("ctx", {}))
    wanted = _WANTED.get(kind.partition("_")[0])
    if wanted is not None:
        return f"must be {wanted}"
    return failure["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
