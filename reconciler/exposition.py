"""Prometheus' text format for metrics with a value for each of very many stacks.

Its own library makes an object of each value, checks every name and sorts: with 10,000 stacks that took most of a
second at every scrape. `Metrics.expose` writes a `Table` in one go instead, and leaves all others to the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

_COUNTED = "_total"
_PIECE = 1000
"""How many texts of a table are joined at once: the whole is too large to be there several times."""
_PLAIN = 1e15
"""Below it Python writes numbers without an exponent."""


class Table(Metric):
    """A metric with many values, of two or more labels each. It is written line by line, as it is filled."""

    def __init__(self, name: str, text: str, labels: Sequence[str], *, counter: bool = False) -> None:
        """Take the metric's whole name; that of a counter ends in _total."""
        super().__init__(name.removesuffix(_COUNTED), text, "counter" if counter else "gauge")
        self._labelnames = tuple(labels)  # as the library's own metrics call them
        # Sorted, as the library has them.
        order = sorted(range(len(labels)), key=labels.__getitem__)
        self._sort = itemgetter(*order)
        self._pairs = ",".join([f'{labels[at]}="%s"' for at in order])
        self._begin = f"{name}{{"
        # Few texts differ: each is escaped once.
        self._escape = _Escaped().__getitem__
        self._head = f"# HELP {name} {text}\n# TYPE {name} {self.type}\n"
        self.lines: list[str] = []
        """One line for each value, or several of them in one text."""

    @property
    def samples(self) -> list[Sample]:
        """The values as the library has them, for whoever reads the registry itself."""
        return [
            sample for family in text_string_to_metric_families("".join(self.pieces())) for sample in family.samples
        ]

    @samples.setter
    def samples(self, _: object) -> None:
        """Ignore the empty list with which the library starts every metric."""

    def add(self, values: Sequence[str], value: float) -> None:
        """Add the value of these labels."""
        self.put(self._pairs % (*map(self._escape, self._sort(values)),), value)

    def put(self, labels: str, value: float) -> None:
        """Add the value of labels that are written already, as between the braces and in the order of their names."""
        self.lines.append(f"{self._begin}{labels}}} {_written(value)}\n")

    def pieces(self) -> Iterator[str]:
        """Return the metric in Prometheus' text format, piece by piece."""
        yield self._head
        for at in range(0, len(self.lines), _PIECE):
            yield "".join(self.lines[at : at + _PIECE])


def expose(registry: CollectorRegistry) -> Iterator[bytes]:
    """Return all metrics of a registry in Prometheus' text format, in pieces; all are read before the first one."""
    tables: list[Table] = []
    others: list[Metric] = []
    for metric in registry.collect():
        if isinstance(metric, Table):
            tables.append(metric)
        else:
            others.append(metric)
    written = generate_latest(_Collected(others))
    return chain([written], (piece.encode() for table in tables for piece in table.pieces()))


def escaped(text: str) -> str:
    """Return a text as it stands between quotation marks."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _written(value: float) -> str:
    # Times and counts. The library's own way, which is for all numbers, takes ten times as long.
    if 0 <= value < _PLAIN:
        return repr(float(value))
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


class _Escaped(dict[str, str]):
    """Texts as they stand between quotation marks."""

    def __missing__(self, text: str) -> str:
        self[text] = found = escaped(text)
        return found


class _Collected(CollectorRegistry):
    """A registry of metrics that were collected already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        super().__init__()
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self._metrics
