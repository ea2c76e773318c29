"""How much an expression can cost, worked out before it is evaluated: from its tree and the sizes of its variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, assert_never

from spaces.expressions.tree import Call, Constant, Items, Loop, Name, Node, Select

MAX_WORK = 100_000
"""Steps that one evaluation may take, of a microsecond or two each."""
_AT_A_STEP = 64
"""Characters or items that a function looks at in one step."""


class Size(NamedTuple):
    """The largest that a value can be: its items or characters, and the largest of its items."""

    items: int
    inner: Size | None = None

    @property
    def total(self) -> int:
        """All that is in it."""
        return self.items * (self.inner.total if self.inner else 1)


ONE = Size(1)
_NUMBER = Size(32)
"""A number as text."""

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
"""What gives a truth or a number."""

_SAME = ("lowerAscii", "upperAscii", "trim", "substring", "charAt", "reverse", "dyn")
"""What gives at most as much as it gets."""


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
"""Every function that an expression may call: those whose results are known to stay within bounds."""


def work(node: Node, variables: Mapping[str, Size]) -> int:
    """Work out how many steps an evaluation takes at most; KeyError for a function that is not one of FUNCTIONS."""
    return _Estimate(dict(variables)).of(node)[1]


def size_of(value: Any) -> Size:
    """Measure a value."""
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
        """Give the size of what a node gives, and the work that it is."""
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
                found = [self.of(part) for part in parts]
                return Size(number, _largest([size for size, _ in found])), 1 + sum(steps for _, steps in found)
            case Loop():
                return self._loop(node)
            case _:
                assert_never(node)

    def _call(self, node: Call) -> tuple[Size, int]:
        found = [self.of(part) for part in node.arguments]
        size = _FUNCTIONS[node.function]([each for each, _ in found])
        gathering = isinstance(node.arguments[0], Name) and node.arguments[0].name.startswith("@")
        # What a macro gathers grows in place; everything else looks at all that it gets, and makes all that it gives.
        own = 1 if gathering else 1 + (size.total + sum(each.total for each, _ in found)) // _AT_A_STEP
        return size, own + sum(steps for _, steps in found)

    def _loop(self, node: Loop) -> tuple[Size, int]:
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
