"""`station audit …`: who admitted, approved and requested what, in a chain that shows any tampering."""

from __future__ import annotations

import json
from typing import Any, TextIO

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.errors import CliError
from reconciler.cli.output import Column, key, moment, print_data, print_rows


@click.group("audit", context_settings=options.CONTEXT, invoke_without_command=True, no_args_is_help=False)
@options.output
@options.common
@click.pass_context
def command(ctx: click.Context, form: str) -> None:
    """List the audit log, oldest first; verify that nobody altered it."""
    if ctx.invoked_subcommand is None:
        _list(form, {})


@command.command("list")
@click.option("--event", metavar="EVENT", help="Only rows of this event, such as admitted or apply-ended.")
@click.option("--person", metavar="PERSON", help="Only rows of this person, such as user:NAME.")
@click.option("--stack", metavar="STACK", help="Only rows about this stack (space/name).")
@click.option("--run", metavar="RUN", help="Only rows about this run.")
@click.option("--revision", metavar="REV", help="Only rows about this revision, by its whole commit id.")
@click.option("--since", metavar="TIME", help="Only rows from this time on, such as 2030-12-31T18:00:00Z.")
@click.option("--until", metavar="TIME", help="Only rows up to this time.")
@options.output
@options.common
def list_all(form: str, **wanted: str | None) -> None:
    """List the audit log, oldest first."""
    _list(form, wanted)


@command.command()
@click.option(
    "--head", "kept", multiple=True, metavar="HEAD", help="An earlier head, NUMBER:HASH: it must still be in the chain."
)
@click.option(
    "--explained",
    type=click.File(encoding="utf-8"),
    help="What station explain -o json printed: its rows must still be in the chain. - is standard input.",
)
@options.output
@options.common
@click.pass_context
def verify(ctx: click.Context, /, *, form: str, kept: tuple[str, ...], explained: TextIO | None) -> None:
    """Verify that no row was changed, removed or inserted, and print the head. Exit codes: 0 intact; 1 altered.

    Keep the head elsewhere: with --head it shows later whether somebody wrote the whole chain anew.
    """
    rows = [*kept, *(_rows(explained) if explained is not None else ())]
    with connect() as api:
        found = api.get("/audit/check", kept=rows or None)
    if form in {"json", "yaml"}:
        print_data(found, form)
    elif found["whole"]:
        click.echo(f"the audit log is intact; its head is {found['head']}")
    if not found["whole"]:
        click.echo(f"error: the audit log was altered: {found['fault']}", err=True)
        ctx.exit(1)


def _rows(explained: TextIO) -> list[str]:
    """Return the rows of an explanation, each as NUMBER:HASH."""
    try:
        return [f"{link['number']}:{link['hash']}" for link in json.load(explained)["chain"]]
    except (ValueError, KeyError, TypeError):
        raise CliError(f"{explained.name} is not what station explain -o json prints") from None


def _list(form: str, wanted: dict[str, Any]) -> None:
    def details(row: Any) -> str:
        return " ".join(
            f"{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in row["details"].items()
            if value not in (None, "", [])
        )

    with connect() as api:
        if wanted.get("run"):
            wanted = {**wanted, "run": api.run(str(wanted["run"])).rpartition("/")[2]}
        found = api.every("/audit", **wanted)
    columns = (
        Column("ROW", key("number")),
        Column("TIME", moment("at")),
        Column("EVENT", key("event")),
        Column("PERSON", key("person")),
        Column("DETAILS", details),
        Column("HASH", key("hash"), wide=True),
    )
    print_rows(found, columns, form)
