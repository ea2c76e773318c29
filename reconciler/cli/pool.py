"""`station pool …`: worker pools, how full they are, and letting one rest."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.output import Column, Row, key, moment, print_data, print_rows


@click.group("pool", context_settings=options.CONTEXT, invoke_without_command=True, no_args_is_help=False)
@options.common
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the worker pools, or let one start nothing for a while."""
    options.help_alone(ctx)


@options.add_command(command, options.output)
def list(form: str) -> None:  # noqa: A001 - the name of the command
    """List the worker pools and how many runs each has. `default` is the service's own machine."""
    with connect() as api:
        print_rows(api.get("/pools")["items"], _COLUMNS, form)


@options.add_command(command, click.argument("pool"), options.output)
def drain(pool: str, form: str) -> None:
    """Let POOL (space/name, or default) start nothing any more. Runs at work go on; the right is pool:drain there."""
    _change(pool, "drain", form, "starts nothing until it is resumed")


@options.add_command(command, click.argument("pool"), options.output)
def resume(pool: str, form: str) -> None:
    """Let POOL start runs again. The right is pool:drain there."""
    _change(pool, "resume", form, "starts runs again")


def _change(pool: str, verb: str, form: str, words: str) -> None:
    space, slash, name = pool.partition("/")
    path = f"/pools/{space}/{name}" if slash else f"/pools/root/{pool}"
    with connect() as api:
        changed = api.post(f"{path}/{verb}")
    if form in {"json", "yaml"}:
        print_data(changed, form)
        return
    click.echo(f"the pool {changed['id']} {words}; {changed['active']} at work, {changed['queued']} queued")


def _drained(row: Row) -> object:
    drained = row["drained"]
    return f"by {drained['person']} at {moment('at')(drained)}" if drained else None


def _workers(row: Row) -> object:
    """Return the workers with how many runs each has; None for a pool that has no use for any."""
    if row["engine"] != "pull":
        return None
    workers = (f"{it['name']} ({it['active'] or ('idle' if it['idle'] else 'gone')})" for it in row["workers"])
    return ", ".join(workers) or "none"


_COLUMNS = (
    Column("POOL", key("id")),
    Column("ENGINE", key("engine")),
    Column("ACTIVE", key("active")),
    Column("QUEUED", key("queued")),
    Column("MOST", key("maxParallel")),
    Column("CHECKS", key("checks"), wide=True),
    Column("MOST CHECKS", key("driftParallel"), wide=True),
    Column("WORKERS", _workers),
    Column("DRAINED", _drained),
)
