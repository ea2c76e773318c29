"""The text format, as the library writes it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from reconciler.exposition import Table, expose

ROWS = {("prod", 'a "b" \\ c\nd'): 3, ("", "web"): 0.5, ("ü", "{x}"): 1772366400.5, ("a", "b"): float("inf")}


class Once(CollectorRegistry):
    def __init__(self, *metrics: Metric) -> None:
        super().__init__()
        self.metrics = metrics

    def collect(self) -> tuple[Metric, ...]:
        return self.metrics


def test_a_table_reads_as_what_the_library_writes() -> None:
    gauge, counter = (
        Table("one", "A gauge.", ("space", "name")),
        Table("two_total", "Two.", ("stack", "by"), counter=True),
    )
    same = (
        GaugeMetricFamily("one", "A gauge.", labels=["space", "name"]),
        CounterMetricFamily("two_total", "Two.", labels=["stack", "by"]),
    )
    for values, number in ROWS.items():
        for metric in (gauge, counter):
            metric.add(values, number)
        for family in same:
            family.add_metric(values, number)
    text = b"".join(expose(Once(gauge, counter)))
    # Only what is large is written in another way.
    theirs = text.replace(b"1772366400.5", b"1.7723664005e+09")
    assert theirs == generate_latest(Once(*same))
    # The library reads it, and sees the same where it collects by itself.
    assert [
        [sample.value for sample in family.samples] for family in text_string_to_metric_families(text.decode())
    ] == [list(ROWS.values())] * 2
    assert generate_latest(Once(gauge, counter)) == theirs
