"""`station held …`: changes that wait for somebody who has the right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options

if TYPE_CHECKING:
    from reconciler.cli.output import Column

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
    from reconciler.cli.client import connect
    from reconciler.cli.output import print_record, print_text

    with connect() as api:
        found = api.get(api.part_of("/held", held, "held change"))
    print_record(found, _columns(wide=False), form)
    if found["diff"] and form not in {"json", "yaml"}:
        click.echo()
        print_text(found["diff"])


@command.command()
@click.argument("held")
@options.output
@options.common
def approve(held: str, form: str) -> None:
    """Approve a held change, so that it comes into force. You need the right that its author lacks."""
    from reconciler.cli.client import connect
    from reconciler.cli.output import print_done

    with connect() as api:
        found = api.post(f"{api.part_of('/held', held, 'held change')}/approve")
    in_force = found["inForce"]
    later = " and in force" if in_force else f": {_NOT_YET if api.attended else _LATER}"
    what = f"{found['verb']} {found['kind']} {found['space']}/{found['name']}"
    said = f"{found['id']} ({what}) is approved by {found['approvedBy']}{later}"
    print_done(said, found, _columns(wide=False), form)


def _list(form: str, space: str | None) -> None:
    from reconciler.cli.client import connect
    from reconciler.cli.output import print_rows

    with connect() as api:
        found = api.every("/held", space=space, subtree=True if space else None)
    print_rows(found, _columns(wide=True), form)


def _columns(*, wide: bool) -> tuple[Column, ...]:
    from reconciler.cli.output import Column, key, short

    def missing(row: Any) -> str:
        return f"{row['missing']['action']} in {row['missing']['space']}" if row["missing"] else row["because"]

    def document(row: Any) -> str:
        return f"{row['kind']} {row['space']}/{row['name']}" + (" (its files)" if row["files"] else "")

    return (
        Column("HELD", key("id")),
        Column("DOCUMENT", document),
        Column("VERB", key("verb")),
        Column("PERSON", key("person")),
        Column("MISSING", missing),
        Column("REVISION", short("revision") if wide else key("revision")),
        Column("APPROVED BY", key("approvedBy")),
        Column("MESSAGE", key("message"), wide=wide),
    )
