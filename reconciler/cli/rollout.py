"""`station rollout …`: revisions on their way to many stacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.output import Column, key, print_data, print_rows

_COLUMNS = (
    Column("SPACE", key("space")),
    Column("REVISION", lambda row: row["revision"][:12]),
    Column("STACKS", lambda row: _counted(row["stacks"])),
    Column("CANARIES", lambda row: _counted(row["canaries"])),
    Column("PAUSED", key("paused")),
)


@options.group("rollout")
def command() -> None:
    """List the revisions on their way to many stacks, or let a paused one go on."""


@options.add_command(command, options.output)
def list(form: str) -> None:  # noqa: A001 - the name of the command
    """List the rollouts in which stacks wait for others."""
    with connect() as api:
        print_rows(api.get("/rollouts")["items"], _COLUMNS, form)


@options.add_command(command, click.argument("space"), options.output)
def resume(space: str, form: str) -> None:
    """Let the paused rollouts of SPACE go on: the failures so far no longer count. You need run:trigger there."""
    with connect() as api:
        resumed = api.post(f"/rollouts/{space}/resume")["items"]
    if form in {"json", "yaml"}:
        print_data(resumed, form)
        return
    for each in resumed:
        click.echo(f"the rollout of {each['revision'][:12]} in {each['space']} goes on")


def _counted(counts: Mapping[str, Any]) -> str | None:
    return ", ".join(f"{count} {part}" for part, count in counts.items()) or None
