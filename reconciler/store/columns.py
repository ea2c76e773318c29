"""What the tables are made with: the types of their keys and names, and the names of their constraints."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData, Text
from sqlalchemy.types import TypeEngine

KEY: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
NAME: TypeEngine[str] = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared byte by byte, so that pages have the same order on every database."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
