"""The tables of access: who is signed in or has a token, and which changes wait for somebody with the right."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

from reconciler.store.columns import NAME, metadata

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("made_with", NAME),
    Column("name", Text),
    Column("used_at", BigInteger),
    Column("idp_groups", Text),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("token", NAME),
    Column("proof", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
"""Who is signed in to the page: by the hash of a secret that only their browser has."""

device_logins = Table(
    "device_logins",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("code", NAME, nullable=False, unique=True),
    Column("client", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("subject", Text),
    Column("idp_groups", Text),
    Column("token", NAME),
)
"""Programs that wait for their person to say yes on the page."""

held_changes = Table(
    "held_changes",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("space", NAME, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
)

held_files = Table(
    "held_files",
    metadata,
    Column("path", NAME, primary_key=True),
    Column("force", LargeBinary),
    Column("body", Text, nullable=False),
)
"""The configuration's files that are in force otherwise than the branch has them, and what is held of each."""

unearned_writes = Table(
    "unearned_writes",
    metadata,
    Column("path", NAME, primary_key=True),
    Column("content", Text, nullable=False),
    Column("rightful", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("revision", Text, nullable=False),
)
"""Files of the configuration repository that somebody without the right has written."""

approvals = Table(
    "approvals",
    metadata,
    Column("held", NAME, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""What was approved and not looked at yet; what came of it is in the audit."""
