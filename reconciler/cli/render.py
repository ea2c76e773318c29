"""`station render STACK`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options
from reconciler.cli.at_ref import at_ref, read_clone
from reconciler.cli.client import connect
from reconciler.cli.completing import stack_argument
from reconciler.cli.errors import CliError
from reconciler.cli.output import Column, key, print_data, print_record, print_rows

if TYPE_CHECKING:
    from spaces.in_force import InForce
    from spaces.names import StackId


@click.command("render", context_settings=options.CONTEXT)
@stack_argument()
@at_ref
@click.pass_context
def command(ctx: click.Context, /, *, stack: str, form: str, **where: Any) -> None:
    """Show a stack's effective configuration: each value, where it comes from, and what it overrides.

    The configuration in force is shown; with --ref, that of a branch or commit in a clone, without a service. Contexts
    are listed from weakest to strongest, with the way in which each one was attached.
    """
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
    print_record(
        found,
        (
            Column("stack", key("stack")),
            Column("tool", key("tool")),
            Column("repository", key("source.repository")),
            *(
                Column(kind, key(f"source.{kind}"))
                for kind in ("branch", "tag", "revision", "semver")
                if found["source"] and (kind == "branch" or found["source"][kind])
            ),
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
        (
            "integrations",
            (
                Column("PROVIDER", key("provider")),
                Column("HOW", key("how")),
                Column("AUDIENCE", key("audience")),
                Column("PLAN", key("plan")),
                Column("APPLY", key("apply")),
                origin,
            ),
        ),
        ("env", (Column("NAME", key("name")), Column("VALUE", _value), origin, overrides)),
        (
            "files",
            (Column("NAME", key("name")), Column("SIZE", key("size")), Column("STORED", _stored), origin, overrides),
        ),
        (
            "hooks",
            (Column("WHEN", lambda row: f"{row['when']} {row['phase']}"), Column("COMMAND", key("command")), origin),
        ),
        ("git credentials", (Column("REPOSITORY", key("repository")), origin)),
        ("policies", (Column("TYPE", key("type")), Column("ENFORCEMENT", key("enforcement")), origin)),
    )
    for name, columns in sections:
        rows = found[{"contexts": "attached", "git credentials": "gitCredentials"}.get(name, name)]
        if rows:
            click.echo(f"\n{name}")
            print_rows(rows, columns, "table")


def _in_clone(in_force: InForce, stack: str, ref: str) -> Mapping[str, Any]:
    from reconciler.web.api.convert import effective_json
    from spaces.effective.stack import effective

    try:
        found = effective(in_force.documents, _stack(in_force, stack))
    except KeyError:
        raise CliError(f"there is no stack {stack} at {ref}") from None
    return effective_json(found).model_dump(mode="json")


def _stack(in_force: InForce, text: str) -> StackId:
    """Return the stack named by `space/name`, or by a name that only one stack has; raise KeyError for none."""
    found = [each for each in in_force.documents.stacks() if text in {str(each), each.name}]
    if not found:
        raise KeyError(text)
    if len(found) > 1:
        raise CliError(f"several stacks are named {text}: write {' or '.join(map(str, found[:5]))}")
    return found[0]


def _value(row: Mapping[str, Any]) -> str:
    return row["value"] if row["source"] is None else f"({row['source']})"


def _stored(row: Mapping[str, Any]) -> str:
    return (row["source"] or "in the document") + (", executable" if row.get("executable") else "")


def _name(origin: Mapping[str, Any]) -> str:
    name = f"{origin['kind']} {origin['space']}/{origin['name']}"
    return f"{name} version {origin['version']} by {origin['instance']}" if origin.get("instance") else name
