"""`station drift …`: how the real world differs from what was applied."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import adopt, options
from reconciler.cli.client import connect
from reconciler.cli.completing import stack_argument
from reconciler.cli.output import Column, key, moment, print_rows, short_json
from reconciler.cli.run_commands import request_run, show_run

_DIFFERS = 2


@click.group("drift", context_settings=options.CONTEXT, invoke_without_command=True, no_args_is_help=False)
@options.output
@options.space
@options.labels
@options.common
@click.pass_context
def command(ctx: click.Context, form: str, space: str | None, labels: tuple[str, ...]) -> None:
    """List the drift that the last checks found. Exit 2 if there is any; `drift check` looks now."""
    if ctx.invoked_subcommand is not None:
        return
    wanted = options.split_labels(labels)
    with connect() as api:
        found = api.every("/drift", space=space, subtree=True if space else None, label=wanted or None)
    print_rows(found, _COLUMNS, form)
    ctx.exit(_DIFFERS if found else 0)


@command.command()
@stack_argument()
@options.wait
@options.output
@options.common
@click.pass_context
def check(ctx: click.Context, *, stack: str, wait: bool, form: str) -> None:
    """Check a stack for drift now. With --wait, exit 2 if there is any."""
    with connect() as api:
        run = api.post(f"{api.stack(stack)}/drift")
        code = show_run(api, run, form, f"drift check {run['id']} of {run['stack']} is queued", wait=wait)
        if wait and code == 0 and api.get(f"/runs/{run['id']}")["reason"] == "Drifted":
            code = _DIFFERS
    ctx.exit(code)


@command.command()
@stack_argument()
@options.wait
@options.output
@options.common
@click.pass_context
def accept(ctx: click.Context, *, stack: str, wait: bool, form: str) -> None:
    """Accept drift: a run takes it over into the tfstate, by a saved plan, and changes nothing else.

    If the configuration says something else, the next check finds a difference.
    """
    ctx.exit(request_run(lambda api: f"{api.stack(stack)}/refresh", form, wait=wait))


command.add_command(adopt.command)


def _difference(row: Any) -> str:
    if row["difference"] != "changed" or not row["attributes"]:
        return str(row["difference"])
    return "; ".join(
        f"{each['name']}: was {short_json(each['was'])}, is {short_json(each['is'])}" for each in row["attributes"]
    )


_COLUMNS = (
    Column("STACK", key("stack")),
    Column("ADDRESS", lambda row: row["address"] or "(not named by the tool)"),
    Column("DIFFERENCE", _difference),
    Column("TYPE", key("type"), wide=True),
    Column("RUN", key("run"), wide=True),
    Column("CHECKED", moment("at")),
)
