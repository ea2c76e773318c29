"""Names, last uses and groups of tokens of the API, and the sign-ins of programs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.add_column("api_tokens", sa.Column("name", sa.Text))
    op.add_column("api_tokens", sa.Column("used_at", sa.BigInteger))
    op.add_column("api_tokens", sa.Column("idp_groups", sa.Text))
    op.create_table(
        "device_logins",
        sa.Column("id", NAME, nullable=False),
        sa.Column("code", NAME, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("idp_groups", sa.Text),
        sa.Column("token", NAME),
        sa.PrimaryKeyConstraint("id", name="pk_device_logins"),
        sa.UniqueConstraint("code", name="uq_device_logins_code"),
    )
