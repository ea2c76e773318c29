"""`station revisions`."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.output import Column, Row, key, moment, print_rows, short


def _how_far(row: Row) -> object:
    numbers = ((row[name], name) for name in ("running", "waiting", "failed"))
    return ", ".join([f"{row['applied']} of {row['stacks']}", *(f"{it} {name}" for it, name in numbers if it)])


_COLUMNS = (
    Column("REVISION", short("revision")),
    Column("APPLIED", _how_far),
    Column("STARTED", moment("startedAt")),
    Column("FINISHED", moment("finishedAt")),
    Column("PEOPLE", lambda row: ", ".join(row["people"])),
    Column("SUMMARY", key("summary")),
    Column("RUN", key("run"), wide=True),
)


@click.command("revisions", context_settings=options.CONTEXT)
@options.output
@options.space
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Only the newest N revisions.",
)
@options.common
def command(*, form: str, space: str | None, limit: int) -> None:
    """List the revisions that made stacks run, newest first, and how far each got."""
    with connect() as api:
        found = api.every("/revisions", at_most=limit, space=space, subtree=True if space else None)
    print_rows(found, _COLUMNS, form)
