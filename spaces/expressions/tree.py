"""A checked expression as a tree of nodes, decoded from the library's serialized form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias


class Constant(NamedTuple):
    """A literal, by its size: the characters of a text, otherwise 1."""

    size: int


class Name(NamedTuple):
    """A variable."""

    name: str


class Select(NamedTuple):
    """A field of a value."""

    operand: Node


class Call(NamedTuple):
    """A function and its arguments; for a method call, the value that it is called on comes first."""

    function: str
    arguments: tuple[Node, ...]


class Items(NamedTuple):
    """A list or a map: its items, or its keys and values."""

    number: int
    parts: tuple[Node, ...]


class Comprehension(NamedTuple):
    """The form of a macro such as map: a step for each item of a range, which gathers into the variable `gathers`."""

    variable: str
    over: Node
    gathers: str
    start: Node
    condition: Node
    step: Node
    result: Node


Node: TypeAlias = Constant | Name | Select | Call | Items | Comprehension


def read_tree(checked: bytes) -> Node:
    """Decode a checked expression (cel.expr.CheckedExpr in an Any); raise ValueError for other bytes."""
    message = dict(_fields(checked)).get(2)
    expression = dict(_fields(message)).get(4) if isinstance(message, bytes) else None
    if not isinstance(expression, bytes):
        raise ValueError("not a checked expression")  # noqa: TRY004
    return _node(expression)


def calls(node: Node) -> Iterator[str]:
    """Yield the name of every function that is called."""
    for part in _walk(node):
        if isinstance(part, Call):
            yield part.function


def names(node: Node) -> Iterator[str]:
    """Yield the name of every variable that is used, including those of comprehensions."""
    for part in _walk(node):
        if isinstance(part, Name):
            yield part.name


def _walk(node: Node) -> Iterator[Node]:
    todo = [node]
    while todo:
        current = todo.pop()
        yield current
        match current:
            case Select(operand):
                todo.append(operand)
            case Call(_, parts) | Items(_, parts):
                todo.extend(parts)
            case Comprehension():
                todo.extend((current.over, current.start, current.condition, current.step, current.result))
            case _:
                pass


def _node(data: bytes) -> Node:  # noqa: PLR0911
    for number, value in _fields(data):
        if number == 2 or not isinstance(value, bytes):
            continue
        fields = list(_fields(value))
        match number:
            case 3:
                return Constant(max((len(text) for _, text in fields if isinstance(text, bytes)), default=1) or 1)
            case 4:
                return Name(_text(fields, 1))
            case 5:
                return Select(_child(fields, 1))
            case 6:
                return Call(_text(fields, 2), _children(fields, (1, 3)))
            case 7:
                parts = _children(fields, (1,))
                return Items(len(parts), parts)
            case 8:
                entries = [list(_fields(entry)) for at, entry in fields if at == 2 and isinstance(entry, bytes)]
                return Items(len(entries), tuple(part for entry in entries for part in _children(entry, (3, 4))))
            case 9:
                over, start, condition, step, result = (_child(fields, at) for at in (2, 4, 5, 6, 7))
                return Comprehension(_text(fields, 1), over, _text(fields, 3), start, condition, step, result)
            case _:
                break
    raise ValueError("not an expression")


_Field = tuple[int, int | bytes]


def _text(fields: list[_Field], number: int) -> str:
    return next((value.decode() for at, value in fields if at == number and isinstance(value, bytes)), "")


def _child(fields: list[_Field], number: int) -> Node:
    return next(iter(_children(fields, (number,))), Constant(1))


def _children(fields: list[_Field], numbers: tuple[int, ...]) -> tuple[Node, ...]:
    return tuple(_node(value) for at, value in fields if at in numbers and isinstance(value, bytes))


def _fields(data: bytes) -> Iterator[_Field]:
    """Yield the number and the raw value of each field of a protobuf message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        match key & 7:
            case 0:
                value, at = _varint(data, at)
                yield key >> 3, value
            case 1 | 5 as wide:
                at += 8 if wide == 1 else 4
                yield key >> 3, 1
            case 2:
                size, at = _varint(data, at)
                yield key >> 3, data[at : at + size]
                at += size
            case _:
                raise ValueError("not a protobuf message")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
    raise ValueError("cut short")
