"""The tree of spaces with their health, as far as somebody sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.web.api.schemas.overview import SpaceJson
from reconciler.web.views.tones import Tone

MOST = 120
"""Spaces that are listed at once."""


@dataclass(frozen=True, slots=True)
class SpaceView:
    """A space. The counts are of the stacks in it and in all spaces below that one sees."""

    name: str
    total: int
    ready: int
    stalled: int
    below: tuple[SpaceView, ...]

    @property
    def tone(self) -> Tone:
        """The health of everything in it."""
        if self.stalled:
            return Tone.BAD
        if self.total == 0:
            return Tone.QUIET
        return Tone.GOOD if self.ready == self.total else Tone.WAITING

    @property
    def words(self) -> str:
        """Its health in words."""
        if self.total == 0:
            return "no stacks"
        if self.ready == self.total:
            return "all ready"
        numbers = ((self.stalled, "stalled"), (self.total - self.ready - self.stalled, "not ready"))
        return ", ".join(f"{number} {word}" for number, word in numbers if number > 0)

    @property
    def parts(self) -> tuple[tuple[Tone, float, float], ...]:
        """A bar of 100: the tone, beginning and length of each part."""
        rest = max(0, self.total - self.ready - self.stalled)
        parts, at = [], 0.0
        for tone, number in ((Tone.GOOD, self.ready), (Tone.WAITING, rest), (Tone.BAD, self.stalled)):
            if number:
                length = 100 * number / self.total
                parts.append((tone, round(at, 2), round(length, 2)))
                at += length
        return tuple(parts)


def space_tree(spaces: Sequence[SpaceJson]) -> tuple[SpaceView, ...]:
    """Return the tops of the tree, each with what is below it. A space whose parent one does not see is a top."""
    known = {space.name: space for space in spaces}
    below: dict[str | None, list[SpaceJson]] = {}
    for space in spaces:
        below.setdefault(space.parent if space.parent in known else None, []).append(space)
    made: dict[str, SpaceView] = {}
    # From the bottom up, without recursion: a tree may be very deep.
    order, waiting = list[SpaceJson](), list(below.get(None, ()))
    while waiting:
        space = waiting.pop()
        order.append(space)
        waiting += below.get(space.name, ())
    for space in reversed(order):
        made[space.name] = _view(space, tuple(made[child.name] for child in below.get(space.name, ())))
    return tuple(made[space.name] for space in below.get(None, ()))


@dataclass(frozen=True, slots=True)
class TreeView:
    """The lines of the tree, each with its depth. `hidden`: spaces that are counted and not listed."""

    lines: tuple[tuple[int, SpaceView], ...]
    hidden: int


def shown(tops: Sequence[SpaceView]) -> TreeView:
    """Return as much of the tree as somebody reads: the upper levels, and further down what stands still."""
    lines = flat(tops)
    if len(lines) <= MOST:
        return TreeView(tuple(lines), 0)
    widths = Counter(depth for depth, _ in lines)
    deepest, count = -1, 0
    while count + widths[deepest + 1] <= MOST:
        deepest += 1
        count += widths[deepest]
    kept = []
    for depth, space in lines:
        if depth <= deepest:
            kept.append((depth, space))
        elif space.stalled and count < MOST:
            kept.append((depth, space))
            count += 1
    return TreeView(tuple(kept), len(lines) - len(kept))


def flat(tops: Sequence[SpaceView]) -> list[tuple[int, SpaceView]]:
    """Return the spaces from top to bottom, each with its depth."""
    lines: list[tuple[int, SpaceView]] = []
    waiting = [(0, top) for top in reversed(tops)]
    while waiting:
        depth, space = waiting.pop()
        lines.append((depth, space))
        waiting += [(depth + 1, child) for child in reversed(space.below)]
    return lines


def _view(space: SpaceJson, below: tuple[SpaceView, ...]) -> SpaceView:
    return SpaceView(
        name=space.name,
        total=sum(space.stacks.values()) + sum(child.total for child in below),
        ready=space.ready + sum(child.ready for child in below),
        stalled=space.stalled + sum(child.stalled for child in below),
        below=below,
    )
