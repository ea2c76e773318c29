"""`station explain STACK`: from the commit over its admission and the policies to the apply."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.completing import stack_argument
from reconciler.cli.output import Column, key, moment, print_data, print_rows, short


@click.command("explain", context_settings=options.CONTEXT)
@stack_argument()
@click.option("--at", metavar="TIME", help="Show it as of this time, such as 2030-12-31T18:00:00Z. Default: now.")
@click.option("--resource", metavar="ADDRESS", help="Also who made this resource and changed it last.")
@options.output
@options.common
def command(stack: str, at: str | None, resource: str | None, form: str) -> None:
    """Show why a stack is what it is: from the commit over its admission and the policies to the apply.

    Each line is a row of the audit, which station audit verify can check.
    """
    with connect() as api:
        found = api.get(f"{api.stack(stack)}/explain", at=at, resource=resource)
    if form in {"json", "yaml"}:
        print_data(found, form)
        return
    run = found["run"]
    if run is None:
        click.echo(f"nothing was applied of {found['stack']} by then")
    else:
        click.echo(f"{found['stack']} is what run {run['id']} left behind: {run['status']}, {run['reason']}")
        columns = (
            Column("ROW", key("number")),
            Column("TIME", moment("at")),
            Column("EVENT", key("event")),
            Column("PERSON", key("person")),
            Column("WHAT", key("words")),
            Column("HASH", key("hash") if form == "wide" else short("hash")),
        )
        print_rows(found["chain"], columns, form)
        for link in found["chain"]:
            if not link["intact"]:
                click.echo(f"row {link['number']} was changed since: station audit verify", err=True)
    if found["resource"] is not None:
        _tell(found["resource"])


def _tell(resource: dict[str, Any]) -> None:
    for word, author in (("made", resource["made"]), ("last changed", resource["changed"])):
        if author is None:
            click.echo(f"{resource['address']}: it is not known which run {word.replace('last ', '')} it")
            continue
        source = f", source {author['source'][:12]}" if author["source"] else ""
        revision = f", revision {author['revision'][:12]}" if author["revision"] else ""
        by = f" by {author['person']}" if author["person"] else ""
        click.echo(f"{resource['address']}: {word} by run {author['run']}{revision}{source}{by}")
