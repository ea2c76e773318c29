"""`station token …`: tokens with which a user or an API key uses the API."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.errors import CliError
from reconciler.cli.output import Column, key, moment, print_data, print_done, print_rows

_COLUMNS = (
    Column("TOKEN", key("id")),
    Column("SUBJECT", key("subject")),
    Column("NAME", key("name")),
    Column("LAST USED", moment("usedAt")),
    Column("EXPIRES", moment("expiresAt")),
    Column("EXPIRED", key("expired")),
    Column("CREATED BY", key("createdBy")),
    Column("CREATED", moment("createdAt"), wide=True),
)


@options.group("token")
def command() -> None:
    """Create, list and revoke API tokens. A token has the rights of the user or API key it belongs to."""


@command.command()
@click.argument("subject")
@click.option(
    "--expires", metavar="TIME", default="90d", show_default=True, help="How long the token is valid: 30d, 12h, 45m."
)
@click.option("--name", metavar="TEXT", help="What the token is for; the list shows it.")
@options.output
@options.common
def create(subject: str, expires: str, name: str | None, form: str) -> None:
    """Create a token for SUBJECT: user:NAME, apiKey:NAME, or a user's name. It is shown only once."""
    with connect() as api:
        made = api.post(
            "/tokens", {"subject": subject, "seconds": _seconds(expires), **({"name": name} if name else {})}
        )
    if form in {"json", "yaml"}:
        print_data(made, form)
        return
    click.echo(made["token"])
    until = str(made["expiresAt"])[:10]
    click.echo(f"token {made['id']} for {made['subject']} is valid until {until}; it is not shown again", err=True)


@command.command("list")
@options.output
@options.common
def list_all(form: str) -> None:
    """List your own tokens and those you may manage. The secret part is never shown."""
    with connect() as api:
        found = api.every("/tokens")
    print_rows(found, _COLUMNS, form)


@command.command()
@click.argument("token")
@options.output
@options.common
def revoke(token: str, form: str) -> None:
    """Revoke a token. TOKEN is the id that `station token list` shows, or its beginning."""
    with connect() as api:
        gone = api.delete(api.part_of("/tokens", token, "token"))
    print_done(f"token {gone['id']} of {gone['subject']} is revoked", gone, _COLUMNS, form)


def _seconds(text: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal() and len(number) < 10 and unit in units and int(number) > 0):
        raise CliError(f"--expires {text}: write it as 30d, 12h, 45m or 60s")
    return int(number) * units[unit]
