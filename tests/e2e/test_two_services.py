"""Two services on one database: every stack is run by one of them at a time, and one carries on without the other."""

from __future__ import annotations

import urllib.request
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.station import Repo, Server, Station, a_script, eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

COUNT = 50
NAMES = [f"s{number:02}" for number in range(COUNT)]


def _stacks(record: Path, version: str, seconds: float) -> dict[str, str | None]:
    def line(name: str, word: str) -> str:
        return f'echo "{name} {version} {word} $(date +%s.%N)" >> {record}'

    return {
        f"{name}.yaml": a_script(name, f"{line(name, 'start')}; sleep {seconds}; {line(name, 'end')}") for name in NAMES
    }


def _intervals(record: Path) -> dict[str, list[tuple[str, float, float]]]:
    """(version, start, end) by stack; every start has its end."""
    starts: dict[tuple[str, str], float] = {}
    found: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for line in record.read_text().splitlines():
        name, version, word, at = line.split()
        if word == "start":
            assert (name, version) not in starts, f"{name} {version} was applied twice"
            starts[name, version] = float(at)
        else:
            found[name].append((version, starts[name, version], float(at)))
    assert len(starts) == sum(map(len, found.values())), "an apply was cut short"
    return found


def _check_intervals(found: dict[str, list[tuple[str, float, float]]]) -> None:
    for name, spans in found.items():
        spans.sort(key=lambda span: span[1])
        for (_, _, end), (_, start, _) in pairwise(spans):
            assert start >= end, f"{name} had two runs at once"


def _rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def _metrics(server: Server) -> dict[str, float]:
    """The sum over all series of each metric."""
    found: dict[str, float] = defaultdict(float)
    with urllib.request.urlopen(server.url + "/metrics", timeout=10) as answer:
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples:
                found[sample.name.removeprefix("stationkeeper_")] += sample.value
    return found


def _synced(*servers: Server) -> bool:
    return any(server.process.poll() is None and server.all_synced(COUNT) for server in servers)


@pytest.fixture
def pair(new_station: Callable[..., Station], repo: Repo, postgres_url: str, tmp_path: Path) -> tuple[Station, Station]:
    shared = {"database_url": postgres_url, "encryption_key_file": tmp_path / "key", "parallelism": 4}
    return new_station(repo.url, "one", **shared), new_station(repo.url, "two", **shared)


def test_two_services_share_the_work_and_never_a_stack(
    repo: Repo, pair: tuple[Station, Station], postgres_url: str, tmp_path: Path
) -> None:
    record = tmp_path / "applied"
    repo.commit(_stacks(record, "v1", 0.05))
    one, two = pair
    with one.serving() as first, two.serving() as second:
        eventually(lambda: _synced(first, second), 60)
        told = [_metrics(server) for server in (first, second)]
        assert sum(each.get("stacks", 0) for each in told) == COUNT, "one service shows what is in the database"
        assert sum(each["leader"] for each in told) == 1, "one service follows the configuration"
        eventually(lambda: sum(_metrics(server)["runs_total"] for server in (first, second)) == COUNT)
        # While the second round is under way a third one comes, and one of the services goes.
        repo.commit(_stacks(record, "v2", 0.1))
        eventually(lambda: record.read_text().count("v2 end") >= 10, 30)
        holders = {row[0] for row in _rows(postgres_url, "SELECT DISTINCT holder FROM runs WHERE holder IS NOT NULL")}
        assert len(holders) == 2, "one of the services did nothing"
        dead, alive = (first, second) if told[0]["leader"] else (second, first)
        dead.kill()
        eventually(lambda: _metrics(alive)["leader"] == 1)
        eventually(lambda: record.read_text().count("v2 start") >= 40, 40)
        # What the dead one held is brought to its end by its next process.
        with dead.station.serving() as again:
            eventually(lambda: _synced(alive, again), 60)
            runs = again.runs()
    spans = _intervals(record)
    _check_intervals(spans)
    assert {name: [version for version, _, _ in it] for name, it in spans.items()} == {
        name: ["v1", "v2"] for name in NAMES
    }
    finished = [run for run in runs if run["status"] == "finished"]
    assert len(finished) == 2 * COUNT
    # The kill may come between the claim of a run and the start of its process; then another run takes its place.
    assert {run["reason"] for run in runs if run not in finished} <= {"NeverStarted"}
    recorded: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for run in finished:
        recorded[run["stack"]].append((run["startedAt"], run["finishedAt"]))
    for stack, times in recorded.items():
        (_, ended), (began, _) = sorted(times)
        assert began >= ended, f"{stack} had two runs at once"
