"""A full disk under the data directory: whoever fills it fails, everybody else goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.station import Repo, Server, Station, a_script, eventually

pytestmark = pytest.mark.timeout(180)

MIB = 1 << 20


@pytest.fixture
def crowded(repo: Repo, new_station: Callable[..., Station], small_disk: Path) -> Station:
    """A station whose data directory lies on a small disk."""
    station = new_station(repo.url, data_dir=small_disk / "data")
    station.data_dir = small_disk / "data"
    return station


def _fill(path: str) -> str:
    return f"head -c {60 * MIB} /dev/zero > {path}"


def _room(place: Path) -> int:
    return shutil.disk_usage(place).free


def _readiness(server: Server) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(server.url + "/readyz", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("place", ["$TMPDIR/x", "$HOME/x", "x"])
def test_a_stack_that_fills_the_disk_fails_and_the_others_go_on(
    repo: Repo, crowded: Station, small_disk: Path, place: str
) -> None:
    repo.commit({"fill.yaml": a_script("fill", _fill(place)), "good.yaml": a_script("good", "true")})
    with crowded.serving() as server:
        eventually(lambda: {run["stack"]: run["status"] for run in server.runs()}.get("root/fill") == "failed", 60)
        assert _room(small_disk) > 16 * MIB
        repo.commit({"good.yaml": a_script("good", "echo again"), "more.yaml": a_script("more", "true")})
        eventually(lambda: {it["id"]: it["sync"] for it in server.stacks()}.get("root/more") == "Synced", 60)
        eventually(lambda: {it["id"]: it["sync"] for it in server.stacks()}.get("root/good") == "Synced", 60)
        assert _readiness(server) == (200, "ok\n")
        assert server.log.read_text().count("the disk is full") <= 3


def test_a_run_that_died_on_the_disk_that_it_filled_is_recorded_by_the_next_service(
    repo: Repo, crowded: Station, small_disk: Path
) -> None:
    repo.commit({"fill.yaml": a_script("fill", f"{_fill('$TMPDIR/x')} || sleep 100")})
    with crowded.serving() as server:
        eventually(lambda: _room(small_disk) == 0, 60)
        server.kill()
    (started,) = small_disk.glob("data/runs/*/apply-1.started")
    os.kill(json.loads(started.read_text())["pid"], signal.SIGKILL)
    repo.commit({"good.yaml": a_script("good", "true")})
    with crowded.serving() as server:
        eventually(lambda: {run["stack"]: run["status"] for run in server.runs()}.get("root/fill") == "interrupted", 60)
        eventually(lambda: {it["id"]: it["sync"] for it in server.stacks()}.get("root/good") == "Synced", 60)
        assert "of 1 runs that were active, 0 continue and 1 have ended" in server.log.read_text()
    assert _room(small_disk) > 16 * MIB


def test_not_ready_while_nothing_can_be_written_and_ready_again(repo: Repo, crowded: Station, small_disk: Path) -> None:
    repo.commit({"good.yaml": a_script("good", "true")})
    with crowded.serving() as server:
        eventually(lambda: server.all_synced(1), 60)
        filler = small_disk / "filler"
        subprocess.run(["sh", "-c", f"{_fill(str(filler))} 2>/dev/null"], check=False)
        repo.commit({"more.yaml": a_script("more", "true")})
        status, words = eventually(lambda: (it := _readiness(server))[0] == 503 and it, 60)
        assert (status, words) == (503, "the database cannot grow: the disk is full\n")
        # It stays so: a pass that finds nothing to write does not mean that anything could be written.
        for _ in range(40):
            assert _readiness(server)[0] == 503
        filler.unlink()
        eventually(lambda: server.all_synced(2), 60)
        eventually(lambda: _readiness(server)[0] == 200, 60)
        log = server.log.read_text()
        assert log.count("the disk is full") <= 3
        assert 1 <= log.count("works again, after") <= 3, "one line for each concern that had failed"
