"""The cost of an expression, estimated before its evaluation from its tree and the sizes of its variables.

`language` asks `work` before each evaluation and refuses an expression that could take more than MAX_WORK steps. The
estimate is an upper bound: it never evaluates anything, and only functions whose results have a known size are allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, assert_never

from spaces.expressions.tree import Call, Comprehension, Constant, Items, Name, Node, Select

MAX_WORK = 100_000
"""The most steps of one evaluation, each of one or two microseconds."""
_AT_A_STEP = 64
"""The characters or items that a function processes in one step."""


class Size(NamedTuple):
    """The largest size of a value: its items or characters, and the largest size of an item."""

    items: int
    inner: Size | None = None

    @property
    def total(self) -> int:
        """The size of the value with everything in it."""
        return self.items * (self.inner.total if self.inner else 1)


ONE = Size(1)
_NUMBER = Size(32)
"""The size of a number as text."""

_TESTS = (
    *("!_", "-_", "_&&_", "_||_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "_-_", "_*_", "_/_", "_%_"),
    *("size", "int", "double", "bool", "contains", "startsWith", "endsWith", "matches", "indexOf", "lastIndexOf"),
    *(
        "@not_strictly_false",
        "math.@max",
        "math.@min",
        "math.abs",
        "math.ceil",
        "math.floor",
        "math.round",
        "math.sign",
    ),
    "math.trunc",
)
"""The functions that return a truth value or a number."""

_SAME = ("lowerAscii", "upperAscii", "trim", "substring", "charAt", "reverse", "dyn")
"""The functions whose result is at most as large as their first argument."""


def _join(given: list[Size]) -> Size:
    separator = given[1].items if len(given) > 1 else 0
    return Size(given[0].items * ((given[0].inner or ONE).items + separator) + 1)


def _split(given: list[Size]) -> Size:
    return Size(given[0].items + 1, Size(given[0].items))


def _replace(given: list[Size]) -> Size:
    return Size(given[0].items + (given[0].items + 1) * (given[2].items if len(given) > 2 else 0))


_FUNCTIONS: Mapping[str, Callable[[list[Size]], Size]] = {
    **dict.fromkeys(_TESTS, lambda _given: ONE),
    **dict.fromkeys(_SAME, lambda given: given[0]),
    "_+_": lambda given: Size(given[0].items + given[1].items, _larger(given[0].inner, given[1].inner)),
    "_?_:_": lambda given: _larger(given[1], given[2]) or ONE,
    "_[_]": lambda given: given[0].inner or ONE,
    "string": lambda given: _larger(given[0], _NUMBER) or ONE,
    "strings.quote": lambda given: Size(2 * given[0].items + 2),
    "join": _join,
    "split": _split,
    "replace": _replace,
}

FUNCTIONS = frozenset(_FUNCTIONS)
"""The functions that an expression may call: those with a bounded result."""


def work(node: Node, variables: Mapping[str, Size]) -> int:
    """Return the most steps that an evaluation can take; raise KeyError for a function that is not in FUNCTIONS."""
    return _Estimate(dict(variables)).of(node)[1]


def size_of(value: Any) -> Size:
    """Return the size of a value."""
    if isinstance(value, str):
        return Size(max(1, len(value)))
    if isinstance(value, dict):
        return Size(len(value), _largest([*map(size_of, value), *map(size_of, value.values())]))
    if isinstance(value, list):
        return Size(len(value), _largest([*map(size_of, value)]))
    return ONE


@dataclass(slots=True)
class _Estimate:
    variables: dict[str, Size] = field(default_factory=dict)

    def of(self, node: Node) -> tuple[Size, int]:
        """Return the size of a node's value, and the steps to compute it."""
        match node:
            case Constant(size):
                return Size(size), 1
            case Name(name):
                return self.variables.get(name, ONE), 1
            case Select(operand):
                whole, steps = self.of(operand)
                return whole.inner or ONE, steps + 1
            case Call():
                return self._call(node)
            case Items(number, parts):
                estimates = [self.of(part) for part in parts]
                return Size(number, _largest([size for size, _ in estimates])), 1 + sum(steps for _, steps in estimates)
            case Comprehension():
                return self._comprehension(node)
            case _:
                assert_never(node)

    def _call(self, node: Call) -> tuple[Size, int]:
        arguments = [self.of(part) for part in node.arguments]
        size = _FUNCTIONS[node.function]([argument for argument, _ in arguments])
        gathering = isinstance(node.arguments[0], Name) and node.arguments[0].name.startswith("@")
        # A macro's list grows in place. Every other call reads all of its arguments and writes all of its result.
        own = 1 if gathering else 1 + (size.total + sum(argument.total for argument, _ in arguments)) // _AT_A_STEP
        return size, own + sum(steps for _, steps in arguments)

    def _comprehension(self, node: Comprehension) -> tuple[Size, int]:
        over, before = self.of(node.over)
        start, starting = self.of(node.start)
        hidden = {name: self.variables.get(name) for name in (node.variable, node.gathers)}
        self.variables |= {node.variable: over.inner or ONE, node.gathers: start}
        (once, stepping), (_, asking) = self.of(node.step), self.of(node.condition)
        grown = start.items + over.items * max(0, once.items - start.items)
        self.variables[node.gathers] = Size(grown, _larger(start.inner, once.inner))
        result, ending = self.of(node.result)
        for name, size in hidden.items():
            if size is None:
                del self.variables[name]
            else:
                self.variables[name] = size
        return result, before + starting + over.items * (stepping + asking) + ending


def _larger(one: Size | None, other: Size | None) -> Size | None:
    if one is None or other is None:
        return one or other
    return Size(max(one.items, other.items), _larger(one.inner, other.inner))


def _largest(sizes: list[Size]) -> Size | None:
    result: Size | None = None
    for size in sizes:
        result = _larger(result, size)
    return result
