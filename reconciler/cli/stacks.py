"""`station stacks`."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.columns import STACKS
from reconciler.cli.output import print_rows


@click.command("stacks")
@options.output
@options.space
@options.labels
@click.option(
    "--sync", type=click.Choice(["Synced", "OutOfSync", "Unknown"]), help="Only stacks with this sync status."
)
@click.option("--tool", metavar="TOOL", help="Only stacks that use this tool.")
@click.option("-q", "--query", metavar="TEXT", help="Only stacks whose space/name contains TEXT.")
@options.common
def command(
    *, form: str, space: str | None, labels: tuple[str, ...], sync: str | None, tool: str | None, query: str | None
) -> None:
    """List stacks."""
    label = options.split_labels(labels)
    with connect() as api:
        stacks = api.every(
            "/stacks", space=space, subtree=True if space else None, label=label, sync=sync, tool=tool, q=query
        )
    print_rows(stacks, STACKS, form)
