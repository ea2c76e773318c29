"""Gives Terraform the values of other stacks' outputs, each exactly as it was.

Terraform reads a variable of the environment in two ways: literally where the variable's type is a single string,
number or bool, or is left out, and as an expression of its own language for any other type. Read as an expression,
`${…}` in somebody's text would be evaluated. So a value for such a variable is written as an expression in which
nothing is left to evaluate. The values stay in the environment: a var file would come before the source's own var
files, and would leave secrets on the disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.tools.base import StepFailed
from reconciler.tools.files import strict_json
from reconciler.tools.terraform.code import Variable

PREFIX = "TF_VAR_"
_LITERAL = frozenset({"string", "number", "bool"})
_LONGEST = 128 * 1024 - 1
"""Bytes of a variable with its name, which is as much as the system lets through."""
_SPECIAL = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029"\\]|[$%](?=\{)')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class Given:
    """How the values are given.

    `env` comes on top of the run's own; `declare` are attributes to set in the code's variables.
    """

    env: Mapping[str, str] = field(repr=False)
    declare: Mapping[str, str] = field(default_factory=dict)


def given(env: Mapping[str, str], inputs: Mapping[str, Any], declared: Mapping[str, Variable]) -> Given:
    """Return what Terraform has to be told: `env` is what the documents set, `inputs` are outputs of other stacks."""
    told: dict[str, str] = {}
    declare: dict[str, str] = {}
    for name, variable in declared.items():
        key = f"{PREFIX}{name}"
        if key in inputs:
            value = inputs[key]
            if attribute := _attribute(value, variable):
                declare[name] = attribute
            if value is not None and (attribute or _is_evaluated(variable)):
                told[key] = expression(value)
        elif key in env and _is_evaluated(variable):
            # Text that is JSON is taken for JSON; any other is Terraform's own language, as it is without the service.
            is_json, value = strict_json(env[key])
            if is_json:
                told[key] = expression(value)
    for key, text in told.items():
        if len(key) + len(text.encode()) >= _LONGEST:
            raise StepFailed(f"the value of {key} is too long for a variable")
    return Given(told, declare)


def _is_evaluated(variable: Variable) -> bool:
    return variable.type is not None and variable.type not in _LITERAL


def _attribute(value: Any, variable: Variable) -> str | None:
    """Return what has to be declared of a variable so that it can take the value; nothing changes for any other."""
    if value is None:
        # Nothing is given: the variable's own default holds, and null where it has none.
        return None if variable.default or variable.nullable is False else "default = null"
    return "type = any" if variable.type is None and not isinstance(value, str) else None


def expression(value: Any) -> str:
    """Write a JSON value in Terraform's language, with nothing in it that could be evaluated."""
    match value:
        case str():
            return f'"{_SPECIAL.sub(_escaped, value)}"'
        case dict():
            return f"{{{', '.join(f'{expression(key)} = {expression(item)}' for key, item in value.items())}}}"
        case list():
            return f"[{', '.join(map(expression, value))}]"
        case _:
            return json.dumps(value, allow_nan=False)


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    return _ESCAPES.get(character) or f"\\u{ord(character):04x}"
