"""Makes a database one of an earlier schema, with as much of its rows as fits in there."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, insert, select

from reconciler.store.schema import _MIGRATIONS
from reconciler.store.sql import SqlStore
from reconciler.store.tables import VERSION_TABLE, metadata


def make_older(store: SqlStore, version: str) -> None:
    with store._engine.begin() as connection:
        rows = {table.name: connection.execute(select(table)).mappings().all() for table in metadata.sorted_tables}
        present = MetaData()
        present.reflect(connection)
        present.drop_all(connection)
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        older = MetaData()
        older.reflect(connection)
        for table in older.sorted_tables:
            connection.execute(table.delete())
            if table.name == VERSION_TABLE:
                connection.execute(table.insert().values(version_num=version))
            for row in rows.get(table.name, ()):
                connection.execute(insert(table).values({name: row[name] for name in table.c.keys() & row.keys()}))
