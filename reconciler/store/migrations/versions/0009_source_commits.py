"""Runs and stacks name the commit of their source, and the people who changed it.

They do so inside the bodies of the rows, so no table changes. The number goes up all the same: an earlier version would
write these rows without those people, who could then approve their own changes.
"""

from __future__ import annotations

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    pass
