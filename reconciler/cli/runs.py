"""`station runs`."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.columns import RUNS
from reconciler.cli.output import print_rows

_STATUSES = (
    "queued planning unconfirmed applying finished failed canceled discarded superseded interrupted".split()  # noqa: SIM905
)

_KINDS = ("tracked", "proposed", "drift", "destroy", "task")


@click.command("runs")
@options.output
@options.space
@options.labels
@click.option("--status", type=click.Choice(_STATUSES), multiple=True, help="Only runs with this status; repeatable.")
@click.option("--kind", type=click.Choice(_KINDS), multiple=True, help="Only runs of this kind; repeatable.")
@options.limit
@options.common
def command(
    *,
    form: str,
    space: str | None,
    labels: tuple[str, ...],
    status: tuple[str, ...],
    kind: tuple[str, ...],
    limit: int | None,
) -> None:
    """List runs, newest first."""
    with connect() as api:
        runs = api.every(
            "/runs",
            at_most=limit,
            space=space,
            subtree=True if space else None,
            label=options.split_labels(labels),
            status=list(status),
            kind=list(kind),
        )
    print_rows(runs, RUNS, form)
