"""What tokens of the API are called, when they were used last, and the groups of the sign-in that they come from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.add_column("api_tokens", sa.Column("name", sa.Text))
    op.add_column("api_tokens", sa.Column("used_at", sa.BigInteger))
    op.add_column("api_tokens", sa.Column("idp_groups", sa.Text))
