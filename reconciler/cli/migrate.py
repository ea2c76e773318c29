"""`station migrate`: moves everything from SQLite to PostgreSQL."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.backup import here, told
from reconciler.cli.errors import CliError


@click.command("migrate", context_settings=options.CONTEXT)
@click.option(
    "--to",
    "url",
    metavar="URL",
    required=True,
    help="The empty database to move to: postgresql://user@host/name, without a password (PGPASSWORD, ~/.pgpass).",
)
@options.common
@click.pass_context
def command(ctx: click.Context, /, url: str) -> None:
    """Copy everything from the database of the settings into another one, all or nothing. The service must not run.

    Afterwards set database_url to the new database, and start the service.
    """
    from reconciler.backups import migrate
    from reconciler.store.connections import parse_url

    settings = here(ctx, "migrate")
    target = parse_url(url)
    if target.password is not None:
        raise CliError(
            "--to shows the password to everybody on this machine: leave it out, and use PGPASSWORD or ~/.pgpass"
        )
    if target.drivername == "sqlite":
        raise CliError("--to: name a PostgreSQL database. To go back to SQLite, use station backup and station restore")
    click.echo(f"moved: {told(migrate(settings, url))}")
    click.echo(f"set database_url = {url!r} and start the service")
