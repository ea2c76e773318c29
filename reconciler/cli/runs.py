"""`station runs`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options, watching
from reconciler.cli.client import connect
from reconciler.cli.columns import RUNS

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
@watching.option
@options.common
def command(
    *,
    form: str,
    space: str | None,
    labels: tuple[str, ...],
    status: tuple[str, ...],
    kind: tuple[str, ...],
    limit: int | None,
    watch: bool,
) -> None:
    """List runs, newest first."""
    wanted: dict[str, Any] = {
        "space": space,
        "subtree": True if space else None,
        "label": options.split_labels(labels),
        "status": list(status),
        "kind": list(kind),
    }
    with connect() as api:
        watching.show(lambda: api.every("/runs", at_most=limit, **wanted), RUNS, form, watch=watch)
