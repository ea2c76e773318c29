"""The tables of the services that share a database: which are at work, which does what, and which may use it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table, Text, text

from reconciler.store.columns import NAME, metadata

leases = Table(
    "leases",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
)
"""What only one service at a time does, and which one until when."""

services = Table(
    "services",
    metadata,
    Column("holder", NAME, primary_key=True),
    Column("host", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("schema", Text, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("asked_at", BigInteger, nullable=False, server_default=text("0")),
)
"""The services that are at work. `schema` is the newest that each knows."""

usable = Table(
    "usable",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("oldest", Text, nullable=False),
)
"""One row: the oldest schema that a program may know to use the database. Migrations say what it is after them."""
