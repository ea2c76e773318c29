"""`station resources`."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.columns import RESOURCES
from reconciler.cli.output import Column, key, print_rows


@click.command("resources", context_settings=options.CONTEXT)
@options.output
@options.space
@click.option("--type", "kind", metavar="TYPE", help="Only resources of this type.")
@click.option("--provider", metavar="PROVIDER", help="Only resources of this provider.")
@click.option("-q", "--query", metavar="TEXT", help="Only resources with TEXT in the address or an attribute.")
@options.common
def command(*, form: str, space: str | None, kind: str | None, provider: str | None, query: str | None) -> None:
    """List the resources that the last successful run of each stack left behind."""
    subtree = True if space else None
    with connect() as api:
        found = api.every("/resources", space=space, subtree=subtree, type=kind, provider=provider, q=query)
    print_rows(found, (Column("STACK", key("stack")), *RESOURCES), form)
