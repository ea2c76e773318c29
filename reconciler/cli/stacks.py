"""`station stacks`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options, watching
from reconciler.cli.client import connect
from reconciler.cli.columns import STACKS


@click.command("stacks")
@options.output
@options.space
@options.labels
@click.option(
    "--sync", type=click.Choice(["Synced", "OutOfSync", "Unknown"]), help="Only stacks with this sync status."
)
@click.option("--tool", metavar="TOOL", help="Only stacks that use this tool.")
@click.option("-q", "--query", metavar="TEXT", help="Only stacks whose space/name contains TEXT.")
@watching.option
@options.common
def command(
    *,
    form: str,
    space: str | None,
    labels: tuple[str, ...],
    sync: str | None,
    tool: str | None,
    query: str | None,
    watch: bool,
) -> None:
    """List stacks."""
    label = options.split_labels(labels)
    with connect() as api:
        wanted: dict[str, Any] = {"space": space, "subtree": True if space else None, "label": label, "sync": sync}
        watching.show(lambda: api.every("/stacks", **wanted, tool=tool, q=query), STACKS, form, watch=watch)
