"""`station render STACK`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options
from reconciler.cli.at_ref import at_ref, read_clone
from reconciler.cli.errors import CliError

if TYPE_CHECKING:
    from spaces.in_force import InForce
    from spaces.names import StackId


@click.command("render", context_settings=options.CONTEXT)
@click.argument("stack")
@at_ref
@click.pass_context
def command(ctx: click.Context, /, *, stack: str, form: str, **where: Any) -> None:
    """Show a stack's effective configuration: every value with where it comes from and what it overrides.

    Without --ref what is in force is shown; with it what the documents of a branch or commit say by themselves, without
    a service. The contexts are listed with how they came in, the weakest first.
    """
    from reconciler.cli.client import connect
    from reconciler.cli.output import print_data

    if where["ref"] is None:
        with connect() as api:
            found = api.get(f"{api.stack(stack)}/effective")
    else:
        found = _in_clone(read_clone(ctx, **where), stack, where["ref"])
    if form in {"json", "yaml"}:
        print_data(found, form)
    else:
        _print(found)


def _print(found: Mapping[str, Any]) -> None:
    from reconciler.cli.output import Column, key, print_record, print_rows

    print_record(
        found,
        (
            Column("stack", key("stack")),
            Column("tool", key("tool")),
            Column("repository", key("source.repository")),
            Column("branch", key("source.branch")),
            Column("path", key("source.path")),
            Column("include", lambda row: ", ".join(row["source"]["include"]) if row["source"] else None),
        ),
        "table",
    )
    origin = Column("FROM", lambda row: _name(row["origin"]))
    overrides = Column("OVERRIDES", lambda row: ", ".join(_name(one) for one in row["overrides"]))
    sections = (
        (
            "contexts",
            (Column("NAME", lambda row: f"{row['space']}/{row['name']}"), Column("HOW", key("how"))),
        ),
        ("env", (Column("NAME", key("name")), Column("VALUE", _value), origin, overrides)),
        (
            "files",
            (Column("NAME", key("name")), Column("SIZE", key("size")), Column("KEPT", _kept), origin, overrides),
        ),
        (
            "hooks",
            (Column("WHEN", lambda row: f"{row['when']} {row['phase']}"), Column("COMMAND", key("command")), origin),
        ),
        ("policies", (Column("TYPE", key("type")), Column("ENFORCEMENT", key("enforcement")), origin)),
    )
    for name, columns in sections:
        rows = found["attached" if name == "contexts" else name]
        if rows:
            click.echo(f"\n{name}")
            print_rows(rows, columns, "table")


def _in_clone(in_force: InForce, stack: str, ref: str) -> Mapping[str, Any]:
    from reconciler.web.api.convert import effective_json
    from spaces.effective.stack import effective

    try:
        found = effective(in_force.catalog, _stack(in_force, stack))
    except KeyError:
        raise CliError(f"there is no stack {stack} at {ref}") from None
    return effective_json(found).model_dump(mode="json")


def _stack(in_force: InForce, text: str) -> StackId:
    """Read a stack that is written as `space/name`, or as a name that only one stack has; KeyError for none."""
    found = [each for each in in_force.catalog.stacks() if text in {str(each), each.name}]
    if not found:
        raise KeyError(text)
    if len(found) > 1:
        raise CliError(f"{text} may be {' or '.join(map(str, found[:5]))}: write it as space/name")
    return found[0]


def _value(row: Mapping[str, Any]) -> str:
    return row["value"] if row["source"] is None else f"({row['source']})"


def _kept(row: Mapping[str, Any]) -> str:
    return row["source"] or "in the document"


def _name(origin: Mapping[str, Any]) -> str:
    name = f"{origin['kind']} {origin['space']}/{origin['name']}"
    return f"{name} version {origin['version']} by {origin['instance']}" if origin.get("instance") else name
