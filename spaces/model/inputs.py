"""The inputs of a Blueprint: the values that each accepts, and the problems of a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from spaces.expressions.language import RESERVED, Failed, Sort, compile_expression
from spaces.model.base import INPUT_NAME, TEXT, Flag, Line, Model, Problem, Text, list_at, matching, text_at
from spaces.model.explain import MAX_SHOWN, QUOTE, did_you_mean, shape_of, shown
from spaces.model.secrets import SOURCES, SecretRef

_ODD = re.compile("[\\x00\\ud800-\\udfff]")
MAX_VALUE = 32 * 1024
"""The most characters of one value."""


class InputType(StrEnum):
    """The types of inputs."""

    STRING = "string"
    """One line."""
    TEXT = "text"
    """Any number of lines."""
    NUMBER = "number"
    BOOLEAN = "boolean"
    SELECT = "select"
    """One of its options."""
    SECRET = "secret"  # noqa: S105
    """A reference to a secret."""


_LARGEST = 2**53
"""Whole numbers up to here are exact in every language that reads them."""
_SORTS = frozenset(InputType)


def _scalar(value: object) -> object:
    if not isinstance(value, str | bool | int | float):
        raise PydanticCustomError("not-a-value", "must be text, a number, true or false")
    return value


def _given(value: object) -> object:
    if isinstance(value, dict):
        _secret(value)
        return value
    return _scalar(value)


def _secret(value: object) -> object:
    """Return the value if it is a reference to one secret; refuse anything else."""
    if not isinstance(value, dict) or len(value) != 1:
        raise PydanticCustomError("not-a-value", f"must name one of {', '.join(SOURCES)}")
    try:
        SecretRef.model_validate(value)
    except ValidationError:
        raise PydanticCustomError("not-a-value", "is not the place of a secret") from None
    return value


_SCALARS = {"type": ["string", "number", "boolean"]}
Scalar: TypeAlias = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema(_SCALARS)]
InputValue: TypeAlias = Annotated[
    Any,
    BeforeValidator(_given),
    WithJsonSchema(
        {
            "anyOf": [
                _SCALARS,
                {
                    "type": "object",
                    "properties": {key: {"type": "string"} for key in SOURCES},
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""The value that an instance gives for an input, or a reference to a secret."""


class BlueprintInput(Model):
    """One blank of a Blueprint."""

    name: Annotated[str, matching(INPUT_NAME)] = Field(
        description="The input's name; the template uses it as `inputs.NAME`."
    )
    type: InputType = Field(InputType.STRING, description="The type of its values.")
    default: Scalar | None = Field(None, description="The value if an instance gives none.")
    required: Flag = Field(
        False,
        description="true: every instance must give a value. Otherwise an input without value and default is null.",
    )
    pattern: Annotated[str, matching(TEXT, 500)] | None = Field(
        None, description="A pattern in RE2's syntax that a whole string or text must match."
    )
    min: float | None = Field(None, description="The smallest number, or the fewest characters of a string or text.")
    max: float | None = Field(None, description="The largest number, or the most characters of a string or text.")
    options: tuple[Line, ...] = Field((), description="The values that a select offers.")
    description: Text | None = Field(None, description="A description for people.")

    @property
    def sort(self) -> Sort:
        """The type in expressions: that of its values, where there always is one."""
        if self.type is InputType.NUMBER:
            return Sort.NUMBER
        if not self.required and self.default is None:
            return Sort.ANY
        match self.type:
            case InputType.STRING | InputType.TEXT | InputType.SELECT:
                return Sort.TEXT
            case InputType.BOOLEAN:
                return Sort.FLAG
            case InputType.SECRET:
                return Sort.ANY

    def variable(self, value: Any) -> Any:
        """Return a value of this input as expressions see it: a number is one with a fraction, whatever it is."""
        return float(value) if self.type is InputType.NUMBER and value is not None else value

    def fault(self, value: Any) -> tuple[str, str | None] | None:  # noqa: PLR0911
        """Return the problem of a value for this input, and a hint; None if the value is valid."""
        match self.type:
            case InputType.NUMBER:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    return f"must be a number, is {shape_of(value)}", _unquote(value)
                if abs(value) > _LARGEST:
                    return "is out of range", None
                return self._beyond(value, "")
            case InputType.BOOLEAN:
                if not isinstance(value, bool):
                    return f"must be true or false, is {shape_of(value)}", "write it without quotes"
                return None
            case InputType.SELECT:
                return self._option_fault(value)
            case InputType.STRING | InputType.TEXT:
                return self._text_fault(value)
            case InputType.SECRET:
                if not isinstance(value, dict):
                    return (
                        "is a secret, and no document may hold its value",
                        "write {file: …}, {env: …}, {sealed: …} or {sops: …}",
                    )
                return None

    def _option_fault(self, value: Any) -> tuple[str, str | None] | None:
        if not isinstance(value, str):
            return f"must be text, is {shape_of(value)}", QUOTE
        if value in self.options:
            return None
        hint = did_you_mean(value, self.options) or f"one of {', '.join(self.options[:10])}"
        return f"{shown(value)} is not one of its options", hint

    def _text_fault(self, value: Any) -> tuple[str, str | None] | None:
        if not isinstance(value, str):
            hint = QUOTE if isinstance(value, bool | int | float) else None
            return f"must be text, is {shape_of(value)}", hint
        if len(value) > MAX_VALUE or _ODD.search(value):
            return f"must be text of at most {MAX_VALUE} characters, without NUL", None
        if self.type is InputType.STRING and not (value.isprintable() or not value):
            return "must be one line of text", "type: text takes several"
        if self.pattern is not None and not matches(value, self.pattern):
            return f"{shown(value)} does not match {shown(self.pattern)}", None
        return self._beyond(len(value), " characters")

    def _beyond(self, number: float, unit: str) -> tuple[str, str | None] | None:
        if self.min is not None and number < self.min:
            return f"is less than the minimum, {self.min:g}{unit}", None
        if self.max is not None and number > self.max:
            return f"is more than the maximum, {self.max:g}{unit}", None
        return None


def value_of(kind: str | None, text: str) -> object:
    """Return the value that a text means for an input of a type; one that does not fit stays text, to be refused.

    A secret is written as its source and name: `file:token`.
    """
    match kind:
        case InputType.NUMBER:
            for read in (int, float):
                try:
                    return read(text)
                except ValueError:
                    continue
        case InputType.BOOLEAN if text in {"true", "false"}:
            return text == "true"
        case InputType.SECRET if ":" in text:
            source, _, name = text.partition(":")
            return {source: name}
        case _:
            pass
    return text


def input_problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of a Blueprint's inputs, as written, that the types cannot find."""
    seen = set[str]()
    for index, written in enumerate(list_at(raw, "inputs")):
        if not isinstance(written, dict):
            continue
        name = text_at(written, "name")
        if name is not None and name in seen:
            yield Problem(("inputs", index, "name"), "duplicate-name", f"the input {shown(name)} is declared twice")
        if name in RESERVED:
            summary = f"spec.inputs[{index}].name: {name} is a reserved word of expressions"
            yield Problem(("inputs", index, "name"), "reserved-name", summary, "give it another name")
        seen.add(name or "")
        yield from _problems_of_one(written, ("inputs", index))


def _problems_of_one(raw: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Problem]:
    where = f"spec.inputs[{path[1]}]"
    sort = text_at(raw, "type") or InputType.STRING
    texts = sort in {InputType.STRING, InputType.TEXT}
    for key, fits in (
        ("pattern", texts),
        ("options", sort == InputType.SELECT),
        ("min", texts or sort == InputType.NUMBER),
        ("max", texts or sort == InputType.NUMBER),
        ("default", sort != InputType.SECRET),
    ):
        if key in raw and not fits and sort in _SORTS:
            yield Problem(
                (*path, key), "invalid-value", f"{where}.{key} does not apply to a {sort}", "leave it out", True
            )
    if sort == InputType.SELECT and not raw.get("options"):
        yield Problem(path, "missing-key", f"{where}.options is missing", "a select needs at least one", True)
    low, high = raw.get("min"), raw.get("max")
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        yield Problem((*path, "max"), "invalid-value", f"{where}.max is below its min", "swap the two")
    pattern = text_at(raw, "pattern")
    if pattern is not None and (wrong := pattern_fault(pattern)):
        yield Problem((*path, "pattern"), "invalid-pattern", f"{where}.pattern {wrong}", "use RE2's syntax")
        return
    yield from _default_problems(raw, path, where)


def _default_problems(raw: dict[str, Any], path: tuple[str | int, ...], where: str) -> Iterator[Problem]:
    if raw.get("default") is None or raw.get("type") == InputType.SECRET:
        return
    if raw.get("required") is True:
        hint = "a required input is always given; leave one of the two out"
        yield Problem((*path, "default"), "invalid-value", f"{where}.default is never used", hint, True)
        return
    try:
        declared = BlueprintInput.model_validate(raw)
    except ValueError:
        return  # the types report it
    if (wrong := declared.fault(raw["default"])) is not None:
        yield Problem((*path, "default"), "invalid-value", f"{where}.default {wrong[0]}", wrong[1])


def pattern_fault(pattern: str) -> str | None:
    """Return the problem of a pattern; None if it is valid."""
    try:
        _match("", pattern)
    except Failed as failed:
        return failed.mistakes[0].summary
    return None


def matches(text: str, pattern: str) -> bool:
    """Whether the whole text matches the pattern; False for an invalid pattern.

    RE2 matches in time proportional to the length of the text.
    """
    try:
        return _match(text, pattern)
    except Failed:
        return False


def _match(text: str, pattern: str) -> bool:
    whole = compile_expression("text.matches(pattern)", {"text": Sort.TEXT, "pattern": Sort.TEXT})
    return bool(whole.evaluate({"text": text, "pattern": rf"\A(?:{pattern})\z"}))


def _unquote(value: object) -> str | None:
    return "write it without quotes" if isinstance(value, str) and len(value) <= MAX_SHOWN else None
