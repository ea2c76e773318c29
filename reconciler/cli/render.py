"""`station render STACK`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from reconciler.cli import options


@click.command("render")
@click.argument("stack")
@options.output
@options.common
def command(stack: str, form: str) -> None:
    """Show a stack's effective configuration: every value with where it comes from and what it overrides."""
    from reconciler.cli.client import connect
    from reconciler.cli.output import print_data

    with connect() as api:
        found = api.get(f"{api.stack(stack)}/effective")
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
            Column("contexts", lambda row: ", ".join(row["contexts"])),
        ),
        "table",
    )
    origin = Column("FROM", lambda row: _name(row["origin"]))
    overrides = Column("OVERRIDES", lambda row: ", ".join(_name(one) for one in row["overrides"]))
    sections = (
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
        if found[name]:
            click.echo(f"\n{name}")
            print_rows(found[name], columns, "table")


def _value(row: Mapping[str, Any]) -> str:
    return row["value"] if row["source"] is None else f"({row['source']})"


def _kept(row: Mapping[str, Any]) -> str:
    return row["source"] or "in the document"


def _name(origin: Mapping[str, Any]) -> str:
    return f"{origin['kind']} {origin['space']}/{origin['name']}"
