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
    for title, lines in (
        ("services", map(_service, status.get("services", ()))),
        ("sources", map(_source, status["sources"])),
        ("pinned", map(_pin, status.get("pins", ()))),
        ("rollouts", map(_rollout, status.get("rollouts", ()))),
        ("diagnostics", map(line, status["diagnostics"])),
        ("earlier versions in force", map(_kept, status["kept"])),
    ):
        if found := list(lines):
            click.echo(f"\n{title}")
            for each in found:
                click.echo(f"  {each}")


def _service(service: Mapping[str, Any]) -> str:
    does = "follows the configuration" if service["leads"] else f"last seen {moment('seenAt')(service)} UTC"
    return f"{service['name']} on {service['host']}, version {service['version']}: {does}"


def _source(source: Mapping[str, Any]) -> str:
    asked = f", signed for {source['verifiedFor']}" if source["verifiedFor"] else ""
    version = f", {source['tag']}" if source["tag"] and source["ref"] != f"tag {source['tag']}" else ""
    return f"{source['url']} ({source['ref']}{version}{asked}) at {source['revision'][:12]}"


def _pin(pin: Mapping[str, Any]) -> str:
    until = f" until {pin['until']}" if pin["until"] else ""
    return f"{pin['stack']} to {pin['revision'][:12]} by {pin['person']}{until}: {pin['note']}"


def _rollout(rollout: Mapping[str, Any]) -> str:
    why = f"{rollout['paused']}; station rollout resume {rollout['space']}" if rollout["paused"] else "goes on"
    return f"{rollout['space']} at {rollout['revision'][:12]} ({_counted(rollout['stacks'])}): {why}"


def _kept(kept: Mapping[str, Any]) -> str:
    where = f"{kept['file']} at {kept['revision'][:10]}"
    return f"{kept['kind']} {kept['space']}/{kept['name']} from {where}: {kept['because']}"


def _halted(halted: Mapping[str, Any]) -> str:
    hint = f" ({halted['hint']})" if halted.get("hint") else ""
    return f"{halted['reason']}: {halted['message']}{hint}"


def _frozen(window: Mapping[str, Any]) -> str:
    through = f" ({window['override']} may let runs through)" if window["override"] else ""
    return f"{window['space']} until {moment('until')(window)} UTC{through}"


def _counted(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
