from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import reconciler.store
from reconciler.core.runs import ACTIVE, WRITING
from reconciler.store.encryption import Keys
from reconciler.store.sql import open_store
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
