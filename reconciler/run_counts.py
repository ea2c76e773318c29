"""How many runs ended, and how: a dozen series for each stack in force, most of them 0.

With 10,000 stacks these are 120,000 series. So what is written of a stack is kept until a run of it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Lock

from prometheus_client.registry import Collector

from reconciler.exposition import Table
from reconciler.gauges import NAMESPACE

EXPECTED_ENDS = {
    "tracked": ("finished", "failed", "interrupted", "canceled", "discarded", "superseded"),
    "destroy": ("failed", "interrupted"),
    "task": ("failed", "interrupted"),
    "drift": ("failed",),
    "proposed": ("failed",),
}
"""The ends of runs that are counted from 0 for every stack: all of the usual kind, and of the others those to alert on.

Every series costs memory in the service and in Prometheus, and the others come with their first run.
"""

_ZEROS = {(kind, end): 0.0 for kind, ends in EXPECTED_ENDS.items() for end in ends}


class RunsEnded(Collector):
    """The runs that ended, as this service recorded them: of each stack in force from 0. Threads share it."""

    def __init__(self) -> None:
        self.stacks: Callable[[], Iterable[tuple[str, str]]] = tuple
        self._counts: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
        """For each stack (space, name) that had a run, how many ended by (kind, status)."""
        self._texts: dict[tuple[str, str], str] = {}
        """The lines of each stack in force."""
        self._lock = Lock()

    def add(self, space: str, stack: str, kind: str, status: str) -> None:
        """Count one more."""
        with self._lock:
            counts = self._counts.setdefault((space, stack), {})
            counts[kind, status] = counts.get((kind, status), 0) + 1
            self._texts.pop((space, stack), None)

    def describe(self) -> Iterator[Table]:
        """Return the metric without a value."""
        yield Table(
            NAMESPACE + "runs_total", "Ended runs, by status.", ("space", "stack", "kind", "status"), counter=True
        )

    def collect(self) -> Iterator[Table]:
        """Return the metric with the counts until now."""
        stacks = tuple(self.stacks())
        for table in self.describe():
            with self._lock:
                known, counts = self._texts, self._counts
                self._texts = {
                    stack: known.get(stack) or _lines(table, stack, _ZEROS | counts.get(stack, {})) for stack in stacks
                }
                gone = [_lines(table, stack, counts[stack]) for stack in counts.keys() - self._texts.keys()]
                table.lines += [*self._texts.values(), *gone]
            yield table


def _lines(table: Table, stack: tuple[str, str], counts: dict[tuple[str, str], float]) -> str:
    return "".join([table.line((*stack, *end), count) for end, count in counts.items()])
