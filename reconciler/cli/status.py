"""`station status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.diagnostics import line
from reconciler.cli.output import Column, key, moment, print_data, print_record


@click.command("status")
@options.output
@options.common
def command(form: str) -> None:
    """Show the state of the service: revisions, diagnostics, and the numbers of stacks, runs and documents."""
    with connect() as api:
        status = api.get("/status")
    if form in {"json", "yaml"}:
        print_data(status, form)
        return
    columns = (
        Column("configuration", key("url")),
        Column("branch", key("branch")),
        Column("attempted", key("attemptedRevision")),
        Column("admitted", key("admittedRevision")),
        Column("changed", moment("changedAt")),
        Column("halted", lambda row: row["halted"] and _halted(row["halted"])),
        Column("frozen", lambda row: ", ".join(map(_frozen, row["frozen"])) or None),
        Column("stacks", lambda row: _counted(row["counts"]["stacks"])),
        Column("active runs", lambda row: _counted(row["counts"]["runs"])),
        Column("documents", lambda row: _counted(row["counts"]["documents"])),
        Column("version", key("version"), wide=True),
    )
    print_record(status, columns, form)
    if status["sources"]:
        click.echo("\nsources")
        for source in status["sources"]:
            asked = f", signed for {source['verifiedFor']}" if source["verifiedFor"] else ""
            version = f", {source['tag']}" if source["tag"] and source["ref"] != f"tag {source['tag']}" else ""
            click.echo(f"  {source['url']} ({source['ref']}{version}{asked}) at {source['revision'][:12]}")
    if status.get("pins"):
        click.echo("\npinned")
        for pin in status["pins"]:
            until = f" until {pin['until']}" if pin["until"] else ""
            click.echo(f"  {pin['stack']} to {pin['revision'][:12]} by {pin['person']}{until}: {pin['note']}")
    if status["diagnostics"]:
        click.echo("\ndiagnostics")
        for diagnostic in status["diagnostics"]:
            click.echo(f"  {line(diagnostic)}")
    if status["kept"]:
        click.echo("\nearlier versions in force")
        for kept in status["kept"]:
            where = f"{kept['file']} at {kept['revision'][:10]}"
            click.echo(f"  {kept['kind']} {kept['space']}/{kept['name']} from {where}: {kept['because']}")


def _halted(halted: Mapping[str, Any]) -> str:
    hint = f" ({halted['hint']})" if halted.get("hint") else ""
    return f"{halted['reason']}: {halted['message']}{hint}"


def _frozen(window: Mapping[str, Any]) -> str:
    through = f" ({window['override']} may let runs through)" if window["override"] else ""
    return f"{window['space']} until {moment('until')(window)} UTC{through}"


def _counted(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
