"""`station audit …`: who admitted, approved and requested what, in a chain that shows any tampering."""

from __future__ import annotations

import json
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.output import Column, key, moment, print_data, print_rows


@click.group("audit", context_settings=options.CONTEXT, invoke_without_command=True, no_args_is_help=False)
@options.output
@options.common
@click.pass_context
def command(ctx: click.Context, form: str) -> None:
    """List the audit log, oldest first; verify that nobody altered it."""
    if ctx.invoked_subcommand is None:
        _list(form)


@command.command("list")
@options.output
@options.common
def list_all(form: str) -> None:
    """List the audit log, oldest first."""
    _list(form)


@command.command()
@options.output
@options.common
@click.pass_context
def verify(ctx: click.Context, form: str) -> None:
    """Verify that no row was changed, removed or inserted. Exit codes: 0 intact; 1 altered."""
    with connect() as api:
        found = api.get("/audit/check")
    if form in {"json", "yaml"}:
        print_data(found, form)
    elif found["whole"]:
        click.echo("the audit log is intact")
    if not found["whole"]:
        click.echo(f"error: the audit log was altered: {found['fault']}", err=True)
        ctx.exit(1)


def _list(form: str) -> None:
    def details(row: Any) -> str:
        return " ".join(
            f"{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in row["details"].items()
            if value not in (None, "", [])
        )

    with connect() as api:
        found = api.every("/audit")
    columns = (
        Column("ROW", key("number")),
        Column("TIME", moment("at")),
        Column("EVENT", key("event")),
        Column("PERSON", key("person")),
        Column("DETAILS", details),
        Column("HASH", key("hash"), wide=True),
    )
    print_rows(found, columns, form)
