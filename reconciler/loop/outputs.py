"""Outputs of other stacks, as a run gets them: in variables of its environment."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from reconciler.core.dependencies import missing_output
from reconciler.core.reasons import Reason
from reconciler.core.results import JsonValue, Output
from reconciler.core.state import Need
from reconciler.loop.refusing import CannotRun
from reconciler.store.protocol import CannotUnseal, Reading
from spaces.names import StackId

_LONGEST = 100_000
"""Bytes in one variable: the system starts no program with much more."""
_SHORTEST = 4
"""Characters of a text inside a sensitive value that is worth masking by itself."""


@dataclass(frozen=True, slots=True)
class TakenOutput:
    """An output in the variable that it is given in. `masked`: what of it must not appear in anything stored."""

    variable: str
    text: str = field(repr=False)
    masked: tuple[str, ...] = field(default=(), repr=False)


def take_outputs(reading: Reading, stack: StackId, needs: Collection[Need]) -> tuple[TakenOutput, ...]:
    """Read the outputs that a stack uses; CannotRun names both ends where one is missing, or cannot be a variable."""
    taken = []
    for need in needs:
        if not need.outputs:
            continue
        try:
            found = {output.name: output for output in reading.outputs(need.parent)}
        except CannotUnseal as error:
            raise CannotRun(Reason.OUTPUT_UNUSABLE, f"an output of {need.parent}: {error}") from None
        for name, variable in need.outputs.items():
            if name not in found:
                raise CannotRun(Reason.OUTPUT_MISSING, missing_output(stack, need.parent, name, variable))
            taken.append(_taken(found[name], variable, need.parent))
    return tuple(taken)


def _taken(output: Output, variable: str, parent: StackId) -> TakenOutput:
    text = output.value if isinstance(output.value, str) else json.dumps(output.value, separators=(",", ":"))
    wrong = _unusable(text)
    if wrong is not None:
        raise CannotRun(Reason.OUTPUT_UNUSABLE, f"output {output.name} of {parent} {wrong}")
    return TakenOutput(variable, text, tuple(_secrets(text, output.value)) if output.sensitive else ())


def _unusable(text: str) -> str | None:
    if "\0" in text:
        return "holds a NUL character, which no variable can"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "is not valid text"
    return f"is longer than {_LONGEST} bytes, too long for a variable" if size > _LONGEST else None


def _secrets(text: str, value: JsonValue) -> Iterator[str]:
    """Give the text, and every text inside the value: a program that reads the JSON may print each by itself."""
    if text:
        yield text
    match value:
        case dict():
            for each in value.values():
                yield from _inner(each)
        case list():
            for each in value:
                yield from _inner(each)


def _inner(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= _SHORTEST:
            yield value
        return
    yield from _secrets("", value)
