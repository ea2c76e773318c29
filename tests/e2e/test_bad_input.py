"""What an operator gets wrong, or the machine lacks: one clear line, the right exit code, and nothing lost."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.e2e.station import STATION, Repo, Result, Station, a_script, document, eventually


def _one_line(result: Result, *words: str) -> None:
    assert result.code == 1, result
    lines = result.err.strip().splitlines()
    assert len(lines) == 1, result.err
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"config_url": "ext::sh -c touch% HACKED"}, ["config_url"], id="a transport that runs commands"),
        pytest.param({"config_branch": "--output=HACKED"}, ["config_branch"], id="an option as the branch"),
        pytest.param({"parallelism": "many"}, ["parallelism", "environment"], id="no number"),
    ],
)
def test_settings_that_cannot_be_used(repo: Repo, station: Station, settings: dict[str, str], words: list[str]) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    station.settings |= settings
    result = station("reconcile")
    _one_line(result, *words)
    assert not list(station.folder.rglob("HACKED*"))


def test_that_access_is_not_set_up_is_said_once(repo: Repo, station: Station) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    result = station("reconcile")
    assert (result.out + result.err).count("access is not set up") == 1


def test_a_repository_document_gets_no_further_with_it(repo: Repo, station: Station) -> None:
    bad = {"opt": "--upload-pack=x", "ext": "ext::sh", "ftp": "ftp://e.org/x", "dash": "ssh://-oProxyCommand=x/y"}
    repo.commit(
        {"a.yaml": a_script("a", "true")}
        | {f"{name}.yaml": document("Repository", name, {"url": url}) for name, url in bad.items()}
        | {"branch.yaml": document("Repository", "branch", {"url": "https://e.org/x", "branch": "--x"})}
    )
    done = station.reconcile()
    assert (done.code, done.sync) == (1, {"root/a": "Synced"})
    told = [it for it in done.data["diagnostics"] if it["code"] != "access-not-configured"]
    assert {it["file"] for it in told} == {f"{name}.yaml" for name in (*bad, "branch")}


def test_two_on_one_data_directory(repo: Repo, station: Station) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    with station.serving() as server:
        _one_line(station("reconcile"), "another station process uses", str(station.data_dir), "station fetch makes it")
        worker = station("worker", "--pool", "root/a", "--url", server.url)
        _one_line(worker, "another station process uses", "give each worker one of its own")


@pytest.mark.parametrize("command", ["reconcile", "stacks"])
def test_a_database_of_a_schema_that_needs_a_newer_program(repo: Repo, station: Station, command: str) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    station.reconcile()
    with sqlite3.connect(station.data_dir / "station.db") as database:
        (table,) = database.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%version_num%'").fetchone()
        database.execute(f"UPDATE {table} SET version_num = '9999'")
        database.execute("UPDATE usable SET oldest = '9999'")
    database.close()
    _one_line(station(command), "9999", "install the version that wrote it")


@pytest.mark.parametrize("command", ["reconcile", "stacks"])
def test_a_database_that_is_down(repo: Repo, station: Station, command: str) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    station.settings["database_url"] = "postgresql://keeper:hunter2@127.0.0.1:1/station"
    result = station(command)
    _one_line(result, "database")
    assert "hunter2" not in result.err


def test_a_database_that_is_no_database(repo: Repo, station: Station) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    station.data_dir.mkdir(mode=0o700)
    (station.data_dir / "station.db").write_text("this is not a database, whatever its name says\n" * 100)
    _one_line(station("reconcile"), "database")


def test_a_service_waits_for_a_locked_database_and_goes_on(repo: Repo, station: Station, tmp_path: Path) -> None:
    record = tmp_path / "applied"
    repo.commit({"a.yaml": a_script("a", f"echo one >> {record}")})
    with station.serving() as server:
        eventually(lambda: server.all_synced(1))
        database = sqlite3.connect(station.data_dir / "station.db", isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        repo.commit({"a.yaml": a_script("a", f"echo two >> {record}")})
        time.sleep(7)
        assert server.process.poll() is None
        assert record.read_text() == "one\n"
        database.execute("ROLLBACK")
        database.close()
        eventually(lambda: record.read_text() == "one\ntwo\n", 30)
        eventually(lambda: server.all_synced(1))


@pytest.mark.slow
def test_a_service_outlives_a_database_that_goes_away(
    repo: Repo, new_station: Callable[..., Station], postgres_url: str, tmp_path: Path
) -> None:
    """Every connection is cut, again and again, while runs are under way."""
    record = tmp_path / "applied"
    names = [f"s{number}" for number in range(8)]
    repo.commit({f"{name}.yaml": a_script(name, f"sleep 0.3; echo {name} >> {record}") for name in names})
    station = new_station(repo.url, database_url=postgres_url)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with station.serving() as server:
        for _ in range(8):
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                connection.execute(cut)
            time.sleep(0.4)
        eventually(lambda: _quietly(lambda: server.all_synced(len(names))), 30)
        assert server.process.poll() is None
    assert sorted(record.read_text().split()) == names


def _quietly(what: Callable[[], bool]) -> bool:
    try:
        return what()
    except OSError:
        return False


def test_a_full_disk_loses_nothing_and_is_left_by_itself(
    repo: Repo, new_station: Callable[..., Station], small_disk: Path, tmp_path: Path
) -> None:
    record = tmp_path / "applied"
    repo.commit({"a.yaml": a_script("a", f"echo one >> {record}")})
    station = new_station(repo.url)
    station.settings["data_dir"] = station.data_dir = small_disk / "data"
    assert station.reconcile().code == 0
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        except OSError:
            pass
    repo.commit({"a.yaml": a_script("a", f"echo two >> {record}")})
    full = station("reconcile")
    assert full.code in {1, 3}
    assert full.code == 3 or full.err.strip().count("\n") == 0, full.err
    assert "bug" not in full.err, full.err
    filler.unlink()
    eventually(lambda: station("reconcile").code == 0, 45, every=3)
    assert record.read_text().splitlines() in (["one", "two"], ["one", "two", "two"])
    assert shutil.disk_usage(small_disk).free > 0


def test_stopping_in_the_middle_leaves_the_apply_alone(repo: Repo, station: Station, tmp_path: Path) -> None:
    record = tmp_path / "applied"
    repo.commit({"a.yaml": a_script("a", f"echo start >> {record}; sleep 3; echo end >> {record}")})
    process = subprocess.Popen(
        [STATION, "reconcile"],
        cwd=station.home,
        env=station.env,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(record.exists)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "Traceback" not in err
    done = station.reconcile()
    assert (done.code, done.sync, record.read_text()) == (0, {"root/a": "Synced"}, "start\nend\n")
