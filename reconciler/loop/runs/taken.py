"""The outputs that a run takes of other stacks: read when its job is built, and put where its stack wants them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from reconciler.core.dependencies import missing_output
from reconciler.core.reasons import Reason
from reconciler.core.results import JsonValue, Output
from reconciler.core.state import Need, StackProblem
from reconciler.loop.desired.values import Opened
from reconciler.store.queries import Reading
from reconciler.store.stored import CannotUnseal
from spaces.model.configuration import plain_path
from spaces.model.dependency import OutputUse
from spaces.names import StackId


class CannotRun(Exception):
    """The run cannot begin; `reason` is one CamelCase word, the message one line."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def refuse(problem: StackProblem) -> CannotRun:
    """Return the refusal of a run because of a problem of its stack."""
    return CannotRun(problem.reason, problem.message)


_LONGEST = 100_000
"""Bytes in one variable. The system starts no program with much longer ones."""
_SHORTEST = 4
"""Characters of a text inside a sensitive value that is worth masking by itself."""


@dataclass(frozen=True, slots=True)
class TakenOutput:
    """An output, and where it goes. `masked`: what of it must not appear in anything stored.

    `text` is None where no variable is set: none is wanted, or the output is null. `content` is None without a file.
    """

    use: OutputUse
    value: JsonValue = field(repr=False)
    text: str | None = field(repr=False)
    content: str | None = field(default=None, repr=False)
    masked: tuple[str, ...] = field(default=(), repr=False)
    sensitive: bool = False


def take_outputs(
    reading: Reading, stack: StackId, needs: Collection[Need], *, preview: bool = False
) -> tuple[TakenOutput, ...]:
    """Read the outputs that a stack uses; CannotRun names both ends where one is missing, or has no room in its place.

    For a `preview`, which applies nothing, `previewAs` stands in for an output that is missing.
    """
    found_here = []
    for need in needs:
        if not need.outputs:
            continue
        try:
            found = {output.name: output for output in reading.outputs(need.parent)}
        except CannotUnseal as error:
            raise CannotRun(Reason.OUTPUT_UNUSABLE, f"an output of {need.parent}: {error}") from None
        for name, use in need.outputs.items():
            output = found.get(name)
            if output is not None:
                found_here.append(taken(output, use, need.parent))
            elif preview and use.preview_as is not None:
                found_here.append(taken(Output(name, use.preview_as), use, need.parent))
            else:
                raise CannotRun(Reason.OUTPUT_MISSING, missing_output(stack, need.parent, name, use))
    return tuple(found_here)


def taken(output: Output, use: OutputUse, parent: StackId) -> TakenOutput:
    """Return the output as its places get it; CannotRun where a variable cannot hold it."""
    value, text, content = output.value, None, None
    plain = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    if use.env is not None and value is not None:
        wrong = _unusable(plain)
        if wrong is not None:
            raise CannotRun(Reason.OUTPUT_UNUSABLE, f"output {output.name} of {parent} {wrong}")
        text = plain
    if use.file is not None:
        content = json.dumps(value, indent=2) + "\n"
    hides = output.sensitive and value is not None
    return TakenOutput(use, value, text, content, tuple(_secrets(plain, value)) if hides else (), output.sensitive)


def with_outputs(opened: Opened, outputs: Collection[TakenOutput]) -> Opened:
    """Return what a run gets, with the outputs in their places. A sensitive one lies there only while a leg works."""
    if not outputs:
        return opened
    env, files, secret_files = dict(opened.env), dict(opened.files), dict(opened.secret_files)
    for output in outputs:
        if output.use.env is not None and output.text is not None:
            env[output.use.env] = output.text
        if output.use.file is not None and output.content is not None:
            path = plain_path(output.use.file)
            files.pop(path, None)
            secret_files.pop(path, None)
            if output.sensitive:
                secret_files[path] = output.content
            else:
                files[path] = output.content.encode()
    masked = (*opened.masked, *(secret for output in outputs for secret in output.masked))
    return replace(opened, env=env, files=files, secret_files=secret_files, masked=masked)


def _unusable(text: str) -> str | None:
    if "\0" in text:
        return "contains a NUL character, which no variable may contain"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "is not valid text"
    return f"is longer than {_LONGEST} bytes, too long for a variable" if size > _LONGEST else None


def _secrets(text: str, value: JsonValue) -> Iterator[str]:
    """Yield the text, and every text inside the value: a program that reads the JSON may print each of them alone."""
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
