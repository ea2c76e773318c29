"""`station resources`."""

from __future__ import annotations

from typing import Any

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
@click.option("--shared", is_flag=True, help="Only resources that several stacks have, by ARN or identifier.")
@click.option(
    "--by",
    type=click.Choice(["space", "stack", "provider", "type"]),
    help="Count them by space, stack, provider or type instead.",
)
@options.common
def command(
    *,
    form: str,
    space: str | None,
    kind: str | None,
    provider: str | None,
    query: str | None,
    shared: bool,
    by: str | None,
) -> None:
    """List the resources that the last successful run of each stack left behind."""
    asked: dict[str, Any] = {"space": space, "subtree": bool(space) or None, "shared": shared or None}
    asked |= {"type": kind, "provider": provider, "q": query}
    with connect() as api:
        if by is not None:
            print_rows(
                api.every("/resources/groups", by=by, **asked), (Column(by.upper(), key("name")), *_GROUPS), form
            )
            return
        found = api.every("/resources", **asked)
    print_rows(found, (Column("STACK", key("stack")), *RESOURCES, *_ALSO), form)


_ALSO = (
    Column("CHANGED BY", lambda row: (row["changed"] or {}).get("person") or "", wide=True),
    Column("ALSO IN", lambda row: ", ".join(row["alsoIn"]), wide=True),
)
_GROUPS = (
    Column("RESOURCES", key("resources")),
    Column("STACKS", key("stacks")),
    Column("NOT READY", key("unready")),
    Column("DRIFTED", key("drifted")),
)
