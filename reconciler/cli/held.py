"""`station held …`: changes that wait for somebody who has the right."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.output import Column, key, print_done, print_record, print_rows, print_text, short

_NOT_YET = "the service has not judged that yet, and station held list shows how it stands"
_LATER = "the next station reconcile or service judges and admits it"


@click.group("held", context_settings=options.CONTEXT, invoke_without_command=True, no_args_is_help=False)
@options.output
@options.space
@options.common
@click.pass_context
def command(ctx: click.Context, form: str, space: str | None) -> None:
    """List, show and approve held changes, which are not in force yet. HELD is the id of one, or its beginning."""
    if ctx.invoked_subcommand is None:
        _list(form, space)


@command.command("list")
@options.output
@options.space
@options.common
def list_all(form: str, space: str | None) -> None:
    """List the held changes."""
    _list(form, space)


@command.command()
@click.argument("held")
@options.output
@options.common
def show(held: str, form: str) -> None:
    """Show a held change, why it is held, and its diff."""
    with connect() as api:
        found = api.get(api.part_of("/held", held, "held change"))
    print_record(found, _ONE, form)
    if found["diff"] and form not in {"json", "yaml"}:
        click.echo()
        print_text(found["diff"])


@command.command()
@click.argument("held")
@options.output
@options.common
def approve(held: str, form: str) -> None:
    """Approve a held change, so that it comes into force. You need the right that its author lacks."""
    with connect() as api:
        found = api.post(f"{api.part_of('/held', held, 'held change')}/approve")
    in_force = found["inForce"]
    later = " and in force" if in_force else f": {_NOT_YET if api.attended else _LATER}"
    what = f"{found['verb']} {found['kind']} {found['space']}/{found['name']}"
    said = f"{found['id']} ({what}) is approved by {found['approvedBy']}{later}"
    print_done(said, found, _ONE, form)


def _list(form: str, space: str | None) -> None:
    with connect() as api:
        found = api.every("/held", space=space, subtree=True if space else None)
    print_rows(found, _LIST, form)


def _missing(row: Any) -> str:
    return f"{row['missing']['action']} in {row['missing']['space']}" if row["missing"] else row["because"]


def _document(row: Any) -> str:
    return f"{row['kind']} {row['space']}/{row['name']}" + (" (its files)" if row["files"] else "")


_ONE = (
    Column("HELD", key("id")),
    Column("DOCUMENT", _document),
    Column("VERB", key("verb")),
    Column("PERSON", key("person")),
    Column("MISSING", _missing),
    Column("REVISION", key("revision")),
    Column("APPROVED BY", key("approvedBy")),
    Column("MESSAGE", key("message")),
)
_LIST = (*_ONE[:5], Column("REVISION", short("revision")), _ONE[6], Column("MESSAGE", key("message"), wide=True))
