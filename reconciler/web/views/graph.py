"""The stacks around a stack as a picture: what it depends on to its left, what depends on it to its right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.web.views.tones import Tone

_WIDTH, _HEIGHT = 190, 44
_ACROSS, _DOWN, _MARGIN = 56, 14, 6
_LONGEST = 24


@dataclass(frozen=True, slots=True)
class Node:
    """A stack in the picture, with its state."""

    id: str
    tone: Tone
    word: str


@dataclass(frozen=True, slots=True)
class Box:
    """Where a stack is drawn. `space` and `name` are cut to fit; `here`: it is the one in question."""

    node: Node
    x: int
    y: int
    width: int
    height: int
    space: str
    name: str
    here: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes, and the lines between them as SVG paths with their titles. `hidden`: stacks that do not fit."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[tuple[str, str], ...]
    hidden: int = 0


def draw(here: str, nodes: Sequence[Node], edges: Sequence[tuple[str, str]], hidden: int = 0) -> Picture:
    """Return the picture. An edge goes from a stack to one that depends on it; there is no circle."""
    known = {node.id: node for node in nodes}
    edges = [edge for edge in edges if edge[0] in known and edge[1] in known]
    columns = _columns(here, known, edges)
    rows: dict[int, list[str]] = {}
    for stack in sorted(known):
        rows.setdefault(columns[stack], []).append(stack)
    _untangle(rows, edges)
    tallest = max(len(column) for column in rows.values())
    places: dict[str, tuple[int, int]] = {}
    for at, column in enumerate(sorted(rows)):
        top = (tallest - len(rows[column])) * (_HEIGHT + _DOWN) // 2
        for row, stack in enumerate(rows[column]):
            places[stack] = _MARGIN + at * (_WIDTH + _ACROSS), _MARGIN + top + row * (_HEIGHT + _DOWN)
    return Picture(
        width=2 * _MARGIN + len(rows) * (_WIDTH + _ACROSS) - _ACROSS,
        height=2 * _MARGIN + tallest * (_HEIGHT + _DOWN) - _DOWN,
        boxes=tuple(_box(known[stack], *places[stack], here=stack == here) for stack in sorted(known)),
        lines=tuple((_path(places[a], places[b]), f"{b} depends on {a}") for a, b in sorted(edges)),
        hidden=hidden,
    )


def _columns(here: str, known: Mapping[str, Node], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the column of each stack: as far right of what it depends on as the longest way to it."""
    parents: dict[str, list[str]] = {stack: [] for stack in known}
    for parent, child in edges:
        parents[child].append(parent)
    columns: dict[str, int] = {}

    def column(stack: str) -> int:
        if stack not in columns:
            columns[stack] = 0
            columns[stack] = 1 + max((column(parent) for parent in parents[stack]), default=-1)
        return columns[stack]

    for stack in sorted(known):
        column(stack)
    # What nothing here leads to stands right before the first stack that needs it, not at the far left.
    for stack in sorted(known, key=lambda it: -columns[it]):
        below = [columns[child] for parent, child in edges if parent == stack]
        if below and stack != here:
            columns[stack] = min(below) - 1
    return columns


def _untangle(rows: dict[int, list[str]], edges: Sequence[tuple[str, str]]) -> None:
    """Order each column by the middle of its neighbours in the column before."""
    for column in sorted(rows)[1:]:
        before = {stack: at for at, stack in enumerate(rows.get(column - 1, ()))}
        middle = {}
        for stack in rows[column]:
            near = [before[parent] for parent, child in edges if child == stack and parent in before]
            middle[stack] = sum(near) / len(near) if near else len(before) / 2
        rows[column].sort(key=lambda stack: (middle[stack], stack))


def _box(node: Node, x: int, y: int, *, here: bool) -> Box:
    space, _, name = node.id.partition("/")
    return Box(node, x, y, _WIDTH, _HEIGHT, _cut(space), _cut(name), here)


def _path(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x2, y2 = end[0], end[1] + _HEIGHT // 2
    bend = max(24, (x2 - x1) // 2)
    return f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
