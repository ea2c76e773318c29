"""CEL: expressions compiled with variables of known types, and evaluated within bounds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from spaces.expressions.bounds import FUNCTIONS, MAX_WORK, size_of, work
from spaces.expressions.tree import Node, calls, names, read_tree

MAX_CHARACTERS = 1000
"""The most characters of one expression. The library itself allows 32 levels of nesting and 10,000 loop steps."""
_EXACT = 2**53
"""Up to here a number with a fraction says exactly which whole number it is."""
MAX_RESULT = 64 * 1024
"""The most characters and items of one result."""

_CONFIGURATION = "name: blueprints\nextensions:\n- name: strings\n- name: math\n"
_FINDING = re.compile(
    r"ERROR: <input>:(-?\d+):(-?\d+): (.*?)(?: \(in container '[^']*'\))?(?: \[[A-Z_]+\])?$", re.MULTILINE
)
_STATUS = re.compile(r"^[A-Z_]+: (.*?)(?: \[[A-Z_]+\])?$", re.DOTALL)
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_RESERVED = (
    "as break const continue else false for function if import in let loop package namespace null return true var "
    "void while"
)
RESERVED = frozenset(_RESERVED.split())
"""The reserved words of the language, which cannot be names."""


class Sort(StrEnum):
    """The type of a variable, as far as it is known before its value."""

    TEXT = "string"
    FLAG = "bool"
    TEXTS = "map of texts"
    NUMBER = "double"
    """A number with a fraction, whatever its value: a template that works for 2 works for 2.5."""
    ANY = "any"


_FUNCTIONS = "the page about Blueprint lists the functions"
_GUARD = "handle that case first: CONDITION ? ONE : OTHER"
_STRING = "a number goes into text as string(inputs.NAME)"
_WHOLE = "a number input may have a fraction: write 2.0 for 2, or int(inputs.NAME)"
_ARITHMETIC = re.compile(r"'_[-+*/%]_' applied to|: _[-+*/%]_\(")
_LITERAL = re.compile(r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?<![\w.\]])(?P<number>\d+)(?![\w.])""")
_ENDLESS = re.compile(r"(?<!\w)(inf|nan)(?!\w)")
"""What an infinite number becomes in a text."""
_WRITE = "an expression is CEL, as in ${{ inputs.app + '-web' }}"


class Mistake(NamedTuple):
    """The problem of an expression. `at` is the offset in its source.

    `word` is an unknown name, and `known` are the names that could be meant.
    """

    code: str
    summary: str
    at: int = 0
    hint: str | None = None
    word: str | None = None
    known: tuple[str, ...] = ()


class Failed(Exception):
    """The expression cannot be compiled or evaluated."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(mistake.summary for mistake in mistakes))
        self.mistakes = mistakes


@dataclass(slots=True)
class Budget:
    """The steps and characters that all expressions of one document, or of one instance, may use together."""

    steps: int = 500_000
    characters: int = 2 * 1024 * 1024
    """The characters of all results."""

    def take(self, steps: int, characters: int) -> None:
        """Spend steps and characters; raise Failed if too few are left."""
        self.steps -= steps
        self.characters -= characters
        if self.steps < 0 or self.characters < 0:
            excess = "steps" if self.steps < 0 else "text"
            raise Failed(Mistake("expression-limit", f"the expressions together produce more {excess} than allowed"))


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """An expression that is ready to be evaluated."""

    program: Any = field(repr=False)
    tree: Node = field(repr=False)
    uses: frozenset[str]
    """The declared variables that it needs."""

    def evaluate(self, variables: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """Return the value, which consists of JSON types; raise Failed with the reason if there is none."""
        given = {name: variables[name] for name in self.uses}
        steps = work(self.tree, {name: size_of(value) for name, value in given.items()})
        if budget is not None:
            budget.take(min(steps, MAX_WORK), 0)
        if steps > MAX_WORK:
            raise Failed(Mistake("expression-limit", "takes more steps than allowed", 0, "make it smaller"))
        try:
            result = self.program.eval(data=given)
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            raise Failed(_failure(str(error))) from None
        if result.type().name() in _ERRORS:
            raise Failed(_failure(str(result.plain_value())))
        value = _plain(_value(result))
        if isinstance(value, str) and "_/_" in calls(self.tree) and _ENDLESS.search(value):
            raise Failed(_failure("INVALID_ARGUMENT: divide by zero"))
        if budget is not None:
            budget.take(0, size_of(value).total)
        return value


def compile_expression(source: str, variables: Mapping[str, Sort]) -> Compiled:
    """Compile an expression with these variables; raise Failed with all its mistakes."""
    return _compile(source, tuple(sorted(variables.items())))


@lru_cache(maxsize=1024)
def _compile(source: str, variables: tuple[tuple[str, Sort], ...]) -> Compiled:
    if len(source) > MAX_CHARACTERS:
        summary = f"is longer than {MAX_CHARACTERS} characters"
        raise Failed(Mistake("expression-limit", summary, 0, "make it smaller"))
    if not source.strip():
        raise Failed(Mistake("invalid-expression", "is empty"))
    source = _with_fractions(source, variables)
    try:
        program = _environment(variables).compile(source)
    except TypeError:
        raise Failed(Mistake("invalid-expression", "holds half of a surrogate pair")) from None
    except RuntimeError as error:
        raise Failed(*_mistakes(source, str(error), [name for name, _ in variables])) from None
    tree = read_tree(program.serialize())
    unknown = sorted(set(calls(tree)) - FUNCTIONS)
    if unknown:
        name = unknown[0].removeprefix("math.@")
        at = max(0, source.find(name.rpartition(".")[2]))
        summary = f"the function {name} is not available"
        raise Failed(Mistake("invalid-expression", summary, at, word=name, known=_CALLED))
    declared = {name for name, _ in variables}
    return Compiled(program, tree, frozenset(declared.intersection(names(tree))))


def _with_fractions(source: str, variables: tuple[tuple[str, Sort], ...]) -> str:
    """Return the expression with its whole numbers written as 2.0 where it calculates with number inputs.

    Comparisons take both kinds of numbers beside each other, calculations do not. Failed holds what is wrong
    either way: a number beside a text, or beside the size of something.
    """
    if all(sort is not Sort.NUMBER for _, sort in variables):
        return source
    wrong = _calculations(source, variables)
    if not wrong:
        return source
    rewritten = _LITERAL.sub(lambda found: found["text"] or f"{found['number']}.0", source)
    if _calculations(rewritten, variables):
        raise Failed(*wrong)
    return rewritten


def _calculations(source: str, variables: tuple[tuple[str, Sort], ...]) -> list[Mistake]:
    """Find the calculations that fail for every value of a number input."""
    try:
        _environment(variables, strict=True).compile(source)
    except RuntimeError as error:
        found = _mistakes(source, str(error), [name for name, _ in variables])
        return [each for each in found if _ARITHMETIC.search(each.summary)]
    except TypeError:
        return []  # told where it is compiled
    return []


_NULLS = frozenset({"NULL", "null_type"})
_ERRORS = frozenset({"ERROR", "UNKNOWN"})
_CALLED = tuple(sorted(name for name in FUNCTIONS if name[0].isalpha() and "@" not in name))


@lru_cache(maxsize=256)
def _environment(variables: tuple[tuple[str, Sort], ...], *, strict: bool = False) -> Any:
    # Slow to import, and only blueprints need it.
    from cel_expr_python import cel  # noqa: PLC0415

    sorts = {
        Sort.TEXT: cel.Type.STRING,
        Sort.FLAG: cel.Type.BOOL,
        Sort.TEXTS: cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
        Sort.NUMBER: cel.Type.DOUBLE if strict else cel.Type.DYN,
        Sort.ANY: cel.Type.DYN,
    }
    types = {name: sorts[sort] for name, sort in variables}
    return cel.NewEnv(config=cel.NewEnvConfigFromYaml(_CONFIGURATION), variables=types)


def _mistakes(source: str, message: str, variables: Iterable[str]) -> list[Mistake]:
    mistakes: list[Mistake] = []
    for line, column, words in _FINDING.findall(message):
        if int(line) < 1:
            break
        starts = [0, *(offset + 1 for offset, char in enumerate(source) if char == "\n")]
        offset = starts[min(int(line), len(starts)) - 1] + int(column) - 1
        mistake = _mistake(source, words, offset, list(variables))
        if all(mistake.summary != other.summary for other in mistakes):
            mistakes.append(mistake)
    if mistakes:
        return mistakes
    if "recursion" in message:
        return [Mistake("expression-limit", "is nested too deeply", 0, "make it smaller")]
    words = _STATUS.match(message.partition("\n")[0])
    return [Mistake("invalid-expression", words[1] if words else "cannot be compiled")]


def _mistake(source: str, words: str, at: int, variables: list[str]) -> Mistake:
    undeclared = _UNDECLARED.fullmatch(words)
    if undeclared is None:
        summary = words.partition(" expecting ")[0]
        return Mistake("invalid-expression", summary, at, _arithmetic_hint(summary) or _WRITE)
    name = undeclared[1]
    last = name.rpartition(".")[2]
    start = source.rfind(name, 0, at + len(last) + 1)
    if source[at : at + 1] == "(":
        summary = f"there is no function {name}"
        at = max(0, source.rfind(name, 0, at))
        return Mistake("invalid-expression", summary, at, _FUNCTIONS, name, _CALLED)
    known = tuple(sorted(variables))
    summary, hint = f"there is no {name}", f"known are {', '.join(known)}"
    return Mistake("invalid-expression", summary, start if start >= 0 else at, hint, name, known)


def _failure(message: str) -> Mistake:
    words = _STATUS.match(message)
    summary = words[1] if words else message
    if "teration budget" in summary:
        return Mistake("expression-limit", "takes more steps than allowed", 0, "make it smaller")
    summary = summary.replace(" : ", ": ")
    return Mistake("expression-failed", summary, 0, _arithmetic_hint(summary) or _GUARD)


def _arithmetic_hint(summary: str) -> str | None:
    """Return what helps where an operator got a number beside text, or beside a whole number."""
    if not _ARITHMETIC.search(summary) or "double" not in summary:
        return None
    return _STRING if "string" in summary else _WHOLE


def _value(result: Any) -> Any:
    """Convert a value of the library into a Python value.

    A null is never asked for its value: each time, the library releases one reference to None too many, which in the
    end crashes the interpreter.
    """
    if result.type().name() in _NULLS:
        return None
    value = result.value()
    if isinstance(value, list):
        return [_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _value(item) for key, item in value.items()}
    return value


def _plain(value: Any) -> Any:
    if size_of(value).total > MAX_RESULT:
        raise Failed(Mistake("expression-limit", f"returns more than {MAX_RESULT} characters", 0, "make it smaller"))
    return _checked(value)


def _checked(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            # In a document, a number without a fraction is a whole one.
            return int(value) if value.is_integer() and abs(value) <= _EXACT else value
        case list():
            return [_checked(item) for item in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {key: _checked(item) for key, item in value.items()}
        case _:
            raise Failed(Mistake("expression-failed", "returns a value that no document can hold"))
