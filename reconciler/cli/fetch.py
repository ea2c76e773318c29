"""`station fetch`: look at the repositories now."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.errors import CliError


@click.command("fetch", context_settings=options.CONTEXT)
@options.common
def command() -> None:
    """Make the service fetch all its repositories now instead of at the next poll."""
    with connect() as api:
        if not api.attended:
            raise CliError("no service runs on this data directory: station reconcile looks at the repositories")
        api.post("/fetch", changes=False)
    click.echo("the service looks at its repositories")
