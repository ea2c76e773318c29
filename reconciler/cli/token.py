"""`station token …`: tokens that open the API to a user or an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.errors import CliError

if TYPE_CHECKING:
    from reconciler.cli.output import Column


@click.group("token", context_settings=options.CONTEXT, invoke_without_command=True, no_args_is_help=False)
@options.common
@click.pass_context
def command(ctx: click.Context) -> None:
    """Make, list and revoke tokens, which open the API to a user or an API key and to what these may do."""
    options.help_alone(ctx)


@command.command()
@click.argument("subject")
@click.option("--expires", metavar="TIME", default="90d", show_default=True, help="How long it opens: 30d, 12h, 45m.")
@options.output
@options.common
def create(subject: str, expires: str, form: str) -> None:
    """Make a token for SUBJECT: user:NAME, apiKey:NAME, or a user's name. Its text is shown this once."""
    from reconciler.cli.client import connect
    from reconciler.cli.output import print_data

    with connect() as api:
        made = api.post("/tokens", {"subject": subject, "seconds": _seconds(expires)})
    if form in {"json", "yaml"}:
        print_data(made, form)
        return
    click.echo(made["token"])
    until = str(made["expiresAt"])[:10]
    click.echo(f"token {made['id']} opens the API to {made['subject']} until {until}; it is not shown again", err=True)


@command.command("list")
@options.output
@options.common
def list_all(form: str) -> None:
    """List tokens, never their texts: your own, and those of everyone whom you may change."""
    from reconciler.cli.client import connect
    from reconciler.cli.output import print_rows

    with connect() as api:
        found = api.every("/tokens")
    print_rows(found, _columns(), form)


@command.command()
@click.argument("token")
@options.output
@options.common
def revoke(token: str, form: str) -> None:
    """Have a token open nothing any more. TOKEN is its id, as `station token list` shows it."""
    from urllib.parse import quote

    from reconciler.cli.client import connect
    from reconciler.cli.output import print_done

    with connect() as api:
        gone = api.delete(f"/tokens/{quote(token, safe='')}")
    print_done(f"token {gone['id']} of {gone['subject']} opens nothing any more", gone, _columns(), form)


def _columns() -> tuple[Column, ...]:
    from reconciler.cli.output import Column, key, moment

    return (
        Column("TOKEN", key("id")),
        Column("SUBJECT", key("subject")),
        Column("EXPIRES", moment("expiresAt")),
        Column("EXPIRED", key("expired")),
        Column("MADE BY", key("createdBy")),
        Column("MADE", moment("createdAt"), wide=True),
    )


def _seconds(text: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal() and len(number) < 10 and unit in units and int(number) > 0):
        raise CliError(f"--expires {text}: write it as 30d, 12h, 45m or 60s")
    return int(number) * units[unit]
