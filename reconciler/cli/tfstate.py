"""`station tfstate …`: the tfstates that the service keeps, for people on call."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.completing import stack_argument
from reconciler.cli.errors import CliError
from reconciler.cli.output import Column, key, moment, print_done, print_record, print_rows

_COLUMNS = (
    Column("VERSION", key("version")),
    Column("SERIAL", key("serial")),
    Column("RUN", key("run")),
    Column("PERSON", key("person")),
    Column("NOTE", key("note")),
    Column("WRITTEN", moment("createdAt")),
    Column("UNIT", key("unit")),
    Column("LINEAGE", key("lineage"), wide=True),
)
_unit = click.option("--unit", metavar="PATH", default="", help="The unit, where the stack has a tfstate for each.")
_note = click.option("--note", metavar="TEXT", default="", help="The reason, for later readers.")


@options.group("tfstate")
def command() -> None:
    """List, download, upload and roll back a stack's tfstate. STACK is space/name, or a name that is unique."""


@options.add_command(command, stack_argument(), options.output)
def list(stack: str, form: str) -> None:  # noqa: A001 - the command's name
    """List the versions of a stack's tfstate, newest first."""
    with connect() as api:
        print_rows(api.every(f"{_path(api, stack)}/versions"), _COLUMNS, form)


@options.add_command(command, stack_argument(), _unit, options.output)
def show(stack: str, unit: str, form: str) -> None:
    """Show the newest version of a stack's tfstate, and who holds its lock."""
    with connect() as api:
        found = api.get(_path(api, stack), unit=unit or None)
    columns = [Column(each.title.lower(), key(f"newest.{each.title.lower()}")) for each in _COLUMNS[:6]]
    columns[-1] = Column("written", moment("newest.createdAt"))
    lock = [("lock", "id"), ("held by", "who"), ("operation", "operation"), ("run", "run")]
    columns += [Column(title, key(f"lock.{name}")) for title, name in lock]
    print_record(found, (*columns, Column("locked since", moment("lock.since"))), form)


@options.add_command(
    command,
    stack_argument(),
    click.option("--version", type=click.IntRange(min=1), metavar="N", help="The version. Default: the newest."),
    _unit,
)
def pull(stack: str, version: int | None, unit: str) -> None:
    """Print a tfstate, including the secrets in it. The audit records who read it."""
    with connect() as api:
        path = _path(api, stack)
        if version is None:
            newest = api.get(path, unit=unit or None)["newest"]
            if newest is None:
                raise CliError(_none_kept(api, path, stack, unit))
            version = newest["version"]
        body = api.pull(f"{path}/versions/{version}")
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()


@options.add_command(
    command,
    stack_argument(),
    click.argument("file", type=click.File("rb")),
    click.option("--force", is_flag=True, help="Accept another lineage or an older serial."),
    _note,
    _unit,
    options.output,
)
def push(*, stack: str, file: BinaryIO, force: bool, note: str, unit: str, form: str) -> None:
    """Store FILE (- for standard input) as the next version of a stack's tfstate."""
    with connect() as api:
        told = {"note": note or None, "unit": unit or None, "force": force or None}
        made = api.push(f"{_path(api, stack)}/versions", file.read(), **told)
    print_done(f"version {made['version']} is now the tfstate of {stack}", made, _COLUMNS, form)


@options.add_command(
    command, stack_argument(), click.argument("version", type=click.IntRange(min=1)), _note, options.output
)
def rollback(stack: str, version: int, note: str, form: str) -> None:
    """Go back to an earlier version of a stack's tfstate, by storing it again as the newest."""
    with connect() as api:
        made = api.push(f"{_path(api, stack)}/versions/{version}/rollback", b"", note=note or None)
    print_done(
        f"version {made['version']} is now the tfstate of {stack}, with the content of version {version}",
        made,
        _COLUMNS,
        form,
    )


@options.add_command(command, stack_argument(), _unit)
def unlock(stack: str, unit: str) -> None:
    """Release the lock on a stack's tfstate. Refused while the run that holds it is active."""
    with connect() as api:
        lock = api.delete(f"{_path(api, stack)}/lock", unit=unit or None)
    held = f", which {lock['who']} held" if lock["who"] else ""
    click.echo(f"lock {lock['id']} of {stack}{held} is released")


def _none_kept(api: Any, path: str, stack: str, unit: str) -> str:
    if unit:
        return f"the service keeps no tfstate of the unit {unit} of {stack}"
    units = sorted({each["unit"] for each in api.every(f"{path}/versions")})
    also = f", but of its units {', '.join(units)}: name one with --unit" if units else ""
    return f"the service keeps no tfstate of {stack}{also}"


def _path(api: Any, stack: str) -> str:
    return str(api.stack(stack)).replace("/stacks/", "/tfstates/", 1)
