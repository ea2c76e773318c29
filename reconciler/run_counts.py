"""How many runs ended, and how: a dozen series for each stack in force, most of them 0.

With 10,000 stacks these are 120,000 series, so the lines of a stack are written in one go, and none are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock

from prometheus_client.registry import Collector

from reconciler.exposition import Table
from reconciler.gauges import NAMESPACE, place_of

EXPECTED_ENDS = {
    "tracked": ("finished", "failed", "interrupted", "canceled", "discarded", "superseded"),
    "destroy": ("failed", "interrupted"),
    "task": ("failed", "interrupted"),
    "drift": ("failed",),
    "proposed": ("failed",),
}
"""The ends of runs that are counted from 0 for every stack: all of the usual kind, and of the others those to alert on.

Every series costs memory in Prometheus, and the others come with their first run.
"""

_NAME = NAMESPACE + "runs_total"
_ZEROS = {(kind, end): 0 for kind, ends in EXPECTED_ENDS.items() for end in ends}


class RunsEnded(Collector):
    """The runs that ended, as this service recorded them: of each stack in force from 0. Threads share it."""

    def __init__(self) -> None:
        self.stacks: Callable[[], Iterable[tuple[str, str]]] = tuple
        self._counts: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
        """For each stack (space, name) that had a run, how many ended by (kind, status)."""
        self._lock = Lock()

    def add(self, space: str, stack: str, kind: str, status: str) -> None:
        """Count one more."""
        with self._lock:
            counts = self._counts.setdefault((space, stack), {})
            counts[kind, status] = counts.get((kind, status), 0) + 1

    def describe(self) -> Iterator[Table]:
        """Return the metric without a value."""
        yield Table(_NAME, "Ended runs, by status.", ("space", "stack", "kind", "status"), counter=True)

    def collect(self) -> Iterator[Table]:
        """Return the metric with the counts until now."""
        stacks = dict.fromkeys(self.stacks())
        with self._lock:
            counted = {stack: dict(counts) for stack, counts in self._counts.items()}
        zeros = _lines(_PLACE, _ZEROS)
        for table in self.describe():
            table.lines += [
                _lines(place_of(*stack), _ZEROS | counted[stack])
                if stack in counted
                else zeros.replace(_PLACE, place_of(*stack))
                for stack in stacks
            ]
            table.lines += [
                _lines(place_of(*stack), counts) for stack, counts in counted.items() if stack not in stacks
            ]
            yield table


_PLACE = place_of("\0", "\0")
"""Stands for the place of any stack."""


def _lines(place: str, counts: Mapping[tuple[str, str], int]) -> str:
    return "".join(
        [f'{_NAME}{{kind="{kind}",{place},status="{status}"}} {count}.0\n' for (kind, status), count in counts.items()]
    )
