"""Which keys sealed what is here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "sealing_keys",
        sa.Column("id", NAME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sealing_keys"),
    )
    postgres = op.get_bind().dialect.name == "postgresql"
    key = "encode(substring(sealed from 2 for 8), 'hex')" if postgres else "lower(hex(substr(sealed, 2, 8)))"
    found = " UNION ".join(
        f"SELECT {key} FROM {table} WHERE sealed IS NOT NULL"  # noqa: S608
        for table in ("tfstates", "outputs")
    )
    op.execute(f"INSERT INTO sealing_keys (id) {found}")
