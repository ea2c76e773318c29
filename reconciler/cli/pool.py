"""`station pool …`: worker pools, how full they are, and letting one rest."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.output import Column, Row, key, moment, print_data, print_record, print_rows


@options.group("pool")
def command() -> None:
    """List the worker pools, or let one start nothing for a while."""


@options.add_command(
    command,
    click.option(
        "--label", multiple=True, metavar="KEY=VALUE", help="Only pools with this label. Repeat it to require several."
    ),
    options.output,
)
def list(label: tuple[str, ...], form: str) -> None:  # noqa: A001 - the name of the command
    """List the worker pools and how many runs each has. `default` is the service's own machine."""
    with connect() as api:
        print_rows(api.get("/pools", label=label)["items"], _COLUMNS, form)


@options.add_command(command, click.argument("pool"), options.output)
def show(pool: str, form: str) -> None:
    """Show POOL (space/name, or default) with its workers: version, load, tools, and when each was heard of last."""
    with connect() as api:
        found = api.get(_path(pool))
    print_record(found, _POOL, form)
    if form not in {"json", "yaml"} and found["workers"]:
        click.echo()
        print_rows(found["workers"], _WORKERS, form)


@options.add_command(command, click.argument("pool"), options.output)
def drain(pool: str, form: str) -> None:
    """Stop POOL (space/name, or default) from starting runs. Active runs continue. You need pool:drain in its space."""
    _change(pool, "drain", form, "starts nothing until it is resumed")


@options.add_command(command, click.argument("pool"), options.output)
def resume(pool: str, form: str) -> None:
    """Let POOL start runs again. You need pool:drain in its space."""
    _change(pool, "resume", form, "starts runs again")


def _change(pool: str, verb: str, form: str, words: str) -> None:
    with connect() as api:
        changed = api.post(f"{_path(pool)}/{verb}")
    if form in {"json", "yaml"}:
        print_data(changed, form)
        return
    click.echo(f"the pool {changed['id']} {words}; {changed['active']} at work, {changed['queued']} queued")


def _drained(row: Row) -> object:
    drained = row["drained"]
    return f"by {drained['person']} at {moment('at')(drained)}" if drained else None


def _path(pool: str) -> str:
    return f"/pools/{pool}" if "/" in pool else f"/pools/root/{pool}"


def _workers(row: Row) -> object:
    """Return the workers with how many runs each has; None for a pool that has no use for any."""
    if row["engine"] == "local":
        return None
    return ", ".join(f"{it['name']} ({_state(it)})" for it in row["workers"]) or "none"


def _state(worker: Row) -> str:
    if worker["gone"]:
        return "gone"
    return f"{worker['active']} of {worker['places']}"


def _tools(worker: Row) -> str:
    if worker["tools"] is None:
        return "not known yet"
    return ", ".join(" ".join([name, "/".join(found)]).strip() for name, found in worker["tools"].items())


def _labels(row: Row) -> str:
    return ", ".join(f"{key}={value}" for key, value in row["labels"].items())


_COLUMNS = (
    Column("POOL", key("id")),
    Column("ENGINE", key("engine")),
    Column("ACTIVE", key("active")),
    Column("QUEUED", key("queued")),
    Column("MOST", key("maxParallel")),
    Column("CHECKS", key("checks"), wide=True),
    Column("MOST CHECKS", key("driftParallel"), wide=True),
    Column("LABELS", _labels, wide=True),
    Column("WORKERS", _workers),
    Column("DRAINED", _drained),
)

_POOL = (
    Column("pool", key("id")),
    Column("labels", _labels),
    Column("engine", key("engine")),
    Column("tools", lambda row: ", ".join(row["tools"] or ())),
    Column("active", key("active")),
    Column("queued", key("queued")),
    Column("most", key("maxParallel")),
    Column("checks", key("checks")),
    Column("most checks", key("driftParallel")),
    Column("drained", _drained),
)

_WORKERS = (
    Column("WORKER", key("name")),
    Column("RUNS", _state),
    Column("VERSION", key("version")),
    Column("HEARD", moment("heardAt")),
    Column("TOOLS", _tools),
)
