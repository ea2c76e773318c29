"""`station queue`."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.output import Column, Row, key, moment, print_rows


def _since(row: Row) -> object:
    return moment("startedAt" if row["startedAt"] else "createdAt")(row)


_COLUMNS = (
    Column("RUN", key("id")),
    Column("STACK", key("stack")),
    Column("KIND", key("kind")),
    Column("STATUS", key("status")),
    Column("SINCE", _since),
    Column("WAITS", key("waits")),
    Column("POOL", key("pool"), wide=True),
    Column("SERVICE", key("service"), wide=True),
    Column("PERSON", key("person"), wide=True),
)


@click.command("queue", context_settings=options.CONTEXT)
@options.output
@options.space
@options.common
def command(*, form: str, space: str | None) -> None:
    """List the active runs, and then the queued ones, each with the reason why it has not started."""
    with connect() as api:
        found = api.every("/queue", space=space, subtree=True if space else None)
    print_rows(found, _COLUMNS, form)
