"""`station backup`: writes everything that the database holds into one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.errors import CliError

if TYPE_CHECKING:
    from reconciler.backups import Copied
    from reconciler.settings import Settings


@click.command("backup", context_settings=options.CONTEXT)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.common
@click.pass_context
def command(ctx: click.Context, /, file: Path) -> None:
    """Write the whole database into FILE. The service may go on running.

    FILE is a SQLite database, even if the service uses PostgreSQL. It does not contain the keys: keep them apart.
    """
    from reconciler.backups import back_up

    settings = here(ctx, "backup")
    copied = back_up(settings, file)
    click.echo(f"{file}: {told(copied)}")
    encryption, sealing = settings.key_files
    click.echo(f"the keys are not in it; keep them apart from it: {encryption} and {sealing}")


def here(ctx: click.Context, name: str) -> Settings:
    """Return the settings of the database on this machine; a service elsewhere has another one."""
    import os

    common = ctx.ensure_object(options.Common)
    if common.url or os.environ.get("STATION_URL"):
        raise CliError(f"station {name} works on the database itself: run it where the service runs, without --url")
    return common.settings()


def told(copied: Copied) -> str:
    """Return in words what was copied."""
    rows, state = copied.rows, copied.state
    revision = f"revision {state.admitted_revision[:12]}" if state.admitted_revision else "no revision yet"
    counted = ", ".join(f"{rows[table]} {word}" for table, word in (("stacks", "stacks"), ("runs", "runs")))
    return f"{counted} and {rows['tfstates']} tfstates, {sum(rows.values())} rows in all, at {revision}"
