from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import reconciler.store
from reconciler.core.runs import ACTIVE, WRITING
from reconciler.loop.leading import Leadership
from reconciler.store import schema
from reconciler.store.encryption import Keys
from reconciler.store.sql import open_store
from reconciler.store.stored import StoreError
from reconciler.store.tables import ACTIVE_WRITING, SCHEMA_VERSION, VERSION_TABLE, metadata


def test_the_newest_migration_is_the_one_the_store_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(reconciler.store.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_VERSION]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_migrations_make_the_tables_of_the_code(
    request: pytest.FixtureRequest, database: str, tmp_path: Path
) -> None:
    url = request.getfixturevalue("empty_postgres_url") if database == "postgresql" else f"sqlite:///{tmp_path}/a.db"
    store = open_store(url, Keys.load_or_create(tmp_path / "keys"))
    with store.reading() as reading:
        context = MigrationContext.configure(
            reading._connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []
    store.close()


def test_the_index_of_active_writing_runs_names_what_the_core_names() -> None:
    statuses, kinds = ACTIVE_WRITING.split(" AND ")
    assert {it.strip("'(), ") for it in statuses.removeprefix("status IN").split(",")} == {it.value for it in ACTIVE}
    assert {it.strip("'(), ") for it in kinds.removeprefix("kind IN").split(",")} == {it.value for it in WRITING}


def test_every_migration_says_which_programs_may_use_the_database_after_it() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(reconciler.store.__file__).parent / "migrations"))
    found = {each.revision: each.module for each in ScriptDirectory.from_config(config).walk_revisions()}
    since = {revision: module for revision, module in found.items() if revision >= "0030"}
    assert [revision for revision, module in since.items() if not hasattr(module, "OLDEST")] == []
    assert [revision for revision, module in since.items() if not "0030" <= module.OLDEST <= revision] == []


NEXT, LAST = f"{int(SCHEMA_VERSION) + 1:04}", f"{int(SCHEMA_VERSION) + 2:04}"
EXPAND = f"""
from alembic import op
import sqlalchemy as sa
revision, down_revision, OLDEST = "{NEXT}", "{SCHEMA_VERSION}", "{SCHEMA_VERSION}"
def upgrade():
    op.add_column("leases", sa.Column("why", sa.Text))
"""
CONTRACT = f"""
from alembic import op
revision, down_revision, OLDEST = "{LAST}", "{NEXT}", "{NEXT}"
def upgrade():
    op.drop_column("leases", "until")
"""


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_an_upgrade_goes_on_beside_older_services_until_it_would_break_them(
    request: pytest.FixtureRequest, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = request.getfixturevalue("empty_postgres_url") if database == "postgresql" else f"sqlite:///{tmp_path}/a.db"
    migrations = tmp_path / "migrations"
    shutil.copytree(Path(reconciler.store.__file__).parent / "migrations", migrations)
    keys = Keys.load_or_create(tmp_path / "keys")

    @contextmanager
    def newer(schema_version: str) -> Iterator[None]:
        with monkeypatch.context() as later:
            later.setattr(schema, "_MIGRATIONS", migrations)
            later.setattr(schema, "SCHEMA_VERSION", schema_version)
            yield

    with closing(open_store(url, keys)) as older:
        one = Leadership(older, "one", wake=lambda: None)
        one.beat()
        (migrations / "versions" / "expand.py").write_text(EXPAND)
        with newer(NEXT):
            open_store(url, keys).close()
        one.beat()
        assert (one.leads, one.outdated) == (True, None), "the older service goes on"
        open_store(url, keys).close()
        with pytest.raises(StoreError, match="use the one that wrote it"):
            open_store(url, keys, migrating=False)

        (migrations / "versions" / "contract.py").write_text(CONTRACT)
        with newer(LAST), pytest.raises(StoreError, match=r"service one on .* could not use it any more"):
            open_store(url, keys)
        # Killed, and away for longer than that: it would be too late.
        with older.writing() as transaction:
            transaction.put_service("one", "here", "0.1", datetime.now(UTC) - 2 * schema.AT_WORK)
        with newer(LAST):
            open_store(url, keys).close()
        one.beat()
        assert one.outdated is not None
        assert not one.leads
        with pytest.raises(StoreError, match=f"has schema {LAST}, and whoever uses it has to know {NEXT}"):
            open_store(url, keys)
