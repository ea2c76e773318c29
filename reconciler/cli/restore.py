"""`station restore`: brings a backup into an empty database."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli import options
from reconciler.cli.backup import here, told
from reconciler.cli.errors import CliError

_NEXT = (
    "The service will start with all stacks suspended. Compare what is there with the tfstates, then resume them: "
    "station stack resume STACK"
)


@click.command("restore", context_settings=options.CONTEXT)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--in-place",
    is_flag=True,
    help="The database was already restored, for example from a snapshot: only suspend all stacks.",
)
@click.option("--keep-tokens", is_flag=True, help="Keep the API tokens, even those that were revoked since the backup.")
@options.common
@click.pass_context
def command(ctx: click.Context, /, file: Path | None, *, in_place: bool, keep_tokens: bool) -> None:
    """Load the backup FILE into the database of the settings. It must be empty, and no service may run on it.

    The backup does not contain what was applied after it was made, so all stacks are suspended until you resume them.
    Put the keys of the backup in place first.
    """
    from reconciler.backups import mark_restored, restore
    from reconciler.loop.service import utc_now

    settings = here(ctx, "restore")
    if (file is None) is not in_place:
        raise CliError("name the file of a backup, or say --in-place", code=2)
    if file is None:
        mark_restored(settings, utc_now(), keep_tokens=keep_tokens)
    else:
        click.echo(f"restored: {told(restore(settings, file, utc_now(), keep_tokens=keep_tokens))}")
    if not keep_tokens:
        click.echo("All API tokens have ended, since some may have been revoked since the backup: create new ones.")
    click.echo(_NEXT)
