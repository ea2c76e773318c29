"""An upgrade without a pause: a service of the next version beside one of this version, on one PostgreSQL."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

import reconciler
from reconciler.store.tables import SCHEMA_VERSION
from reconciler.version import __version__
from tests.e2e.station import Repo, Server, Station, a_script, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

NEXT, SCHEMA = "9.9.9", f"{int(SCHEMA_VERSION) + 1:04}"
MIGRATION = f"""
from alembic import op
import sqlalchemy as sa
revision, down_revision, OLDEST = "{SCHEMA}", "{SCHEMA_VERSION}", "{SCHEMA_VERSION}"
def upgrade():
    op.add_column("runs", sa.Column("region", sa.Text))
    op.create_table("regions", sa.Column("name", sa.Text, primary_key=True))
"""


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The program as the next version could be: this one, with another number and one more migration."""
    tree = tmp_path / "newer"
    here = Path(reconciler.__file__).parents[1]
    for package in ("reconciler", "rbac", "spaces"):
        shutil.copytree(here / package, tree / package)
    (tree / "reconciler/store/migrations/versions/next.py").write_text(MIGRATION)
    for name, old, new in (
        ("reconciler/version.py", __version__, NEXT),
        ("reconciler/store/tables.py", f'SCHEMA_VERSION = "{SCHEMA_VERSION}"', f'SCHEMA_VERSION = "{SCHEMA}"'),
        (
            "reconciler/store/tables.py",
            '    Column("line", NAME),\n',
            '    Column("line", NAME),\n    Column("region", Text),\n',
        ),
    ):
        text = (tree / name).read_text()
        assert old in text
        (tree / name).write_text(text.replace(old, new, 1))
    return tree


@contextmanager
def reading(servers: list[Server], refused: list[str]) -> Iterator[None]:
    """Ask the API of each server that is there all the time, and note what was not answered well."""
    ending = threading.Event()

    def ask() -> None:
        while not ending.wait(0.05):
            for server in list(servers):
                for path in ("/status", "/stacks", "/runs"):
                    try:
                        server.api(path)
                    except OSError as error:
                        if server in servers:
                            refused.append(f"{path}: {error}")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def versions(server: Server) -> dict[str, bool]:
    """The version of each service, and whether it follows the configuration."""
    return {service["version"]: service["leads"] for service in server.api("/status")["services"]}


def synced(server: Server, name: str) -> bool:
    return any(stack["name"] == name and stack["sync"] == "Synced" for stack in server.stacks())


def test_the_next_version_takes_over_while_something_is_applied(
    repo: Repo, new_station: Callable[..., Station], empty_postgres_url: str, newer: Path, tmp_path: Path
) -> None:
    record, gate = tmp_path / "applied", tmp_path / "gate"
    shared = {"database_url": empty_postgres_url, "encryption_key_file": tmp_path / "key"}
    one, two = (new_station(repo.url, name, **shared) for name in ("one", "two"))
    two.more_env["PYTHONPATH"] = str(newer)
    slow = f"echo start >> {record}; while [ ! -e {gate} ]; do sleep 0.1; done; echo end >> {record}"
    repo.commit({"slow.yaml": a_script("slow", slow)})
    refused: list[str] = []
    servers: list[Server] = []
    with one.serving() as old, reading(servers, refused):
        servers.append(old)
        eventually(record.exists)
        with two.serving(fresh=True) as new:
            servers.append(new)
            eventually(lambda: versions(old) == versions(new) == {__version__: True, NEXT: False})
            # The old service goes on following, and writes into the new schema.
            repo.commit({"a.yaml": a_script("a", "true")})
            eventually(lambda: synced(new, "a"))
            servers.remove(old)
            old.stop()
            eventually(lambda: versions(new) == {NEXT: True})
            tip = repo.commit({"b.yaml": a_script("b", "true")})
            eventually(lambda: synced(new, "b") and new.api("/status")["admittedRevision"] == tip)
            assert record.read_text() == "start\n"
            # The first machine is upgraded as well, and finds what is applied there.
            one.more_env["PYTHONPATH"] = str(newer)
            with one.serving(fresh=True) as upgraded:
                servers.append(upgraded)
                eventually(lambda: len(new.api("/status")["services"]) == 2)
                gate.touch()
                eventually(lambda: synced(upgraded, "slow"))
                runs = {run["stack"]: run["status"] for run in new.runs()}
                servers.clear()
    assert record.read_text() == "start\nend\n"
    assert runs == {"root/slow": "finished", "root/a": "finished", "root/b": "finished"}
    assert refused == []
    with psycopg.connect(empty_postgres_url) as connection:
        counted = "SELECT stack, count(*) FROM audit WHERE event = 'apply-ended' GROUP BY stack"
        assert dict(connection.execute(counted).fetchall()) == {"root/slow": 1, "root/a": 1, "root/b": 1}
