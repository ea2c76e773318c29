"""Prometheus' text format for metrics with a value for each of very many stacks.

Its own library makes an object of each value, checks every name and sorts: with 10,000 stacks that took most of a
second at every scrape. `Metrics.expose` writes a `Table` in one go instead, and leaves all others to the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

_COUNTED = "_total"


class Table(Metric):
    """A metric with many values. Each row has the values of its two or more labels, and its own."""

    def __init__(self, name: str, text: str, labels: Sequence[str], *, counter: bool = False) -> None:
        """Take the metric's whole name; that of a counter ends in _total."""
        super().__init__(name.removesuffix(_COUNTED), text, "counter" if counter else "gauge")
        self._labelnames = tuple(labels)  # as the library's own metrics call them
        self.rows: list[tuple[tuple[str, ...], float]] = []
        self._whole_name = name

    @property
    def samples(self) -> list[Sample]:
        """The values as the library has them, for whoever reads the registry itself."""
        return [
            Sample(self._whole_name, dict(zip(self._labelnames, values, strict=True)), value)
            for values, value in self.rows
        ]

    @samples.setter
    def samples(self, _: object) -> None:
        """Ignore the empty list with which the library starts every metric."""

    def add(self, values: tuple[str, ...], value: float) -> None:
        """Add the value of these labels."""
        self.rows.append((values, value))

    def text(self) -> str:
        """Return the metric in Prometheus' text format."""
        # Sorted, as the library has them.
        order = sorted(range(len(self._labelnames)), key=self._labelnames.__getitem__)
        labels = ",".join(f'{self._labelnames[at]}="%s"' for at in order)
        line, sort = f"{self._whole_name}{{{labels}}} %s\n", itemgetter(*order)
        # Few texts differ: each is escaped once.
        escaped = _Escaped()
        head = f"# HELP {self._whole_name} {self.documentation}\n# TYPE {self._whole_name} {self.type}\n"
        return head + "".join([line % (*map(escaped.__getitem__, sort(row)), _written(it)) for row, it in self.rows])


def expose(registry: CollectorRegistry) -> bytes:
    """Return all metrics of a registry in Prometheus' text format."""
    tables: list[Table] = []
    others: list[Metric] = []
    for metric in registry.collect():
        if isinstance(metric, Table):
            tables.append(metric)
        else:
            others.append(metric)
    return generate_latest(_Collected(others)) + "".join([table.text() for table in tables]).encode()


def _written(value: float) -> str:
    # The library's own way, which is for all numbers and takes ten times as long, comes to the same for these.
    if 0 <= value < 1_000_000:
        return repr(float(value))
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


class _Escaped(dict[str, str]):
    """Texts as they stand between quotation marks."""

    def __missing__(self, text: str) -> str:
        self[text] = escaped = text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
        return escaped


class _Collected(CollectorRegistry):
    """A registry of metrics that were collected already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        super().__init__()
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self._metrics
