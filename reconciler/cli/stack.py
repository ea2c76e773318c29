"""`station stack …`: look at one stack and steer it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from reconciler.cli import options

if TYPE_CHECKING:
    from reconciler.cli.output import Column


@click.group("stack", context_settings=options.CONTEXT, invoke_without_command=True, no_args_is_help=False)
@options.common
@click.pass_context
def command(ctx: click.Context) -> None:
    """Look at a stack and steer it. STACK is space/name, or a name that only one stack has."""
    options.help_alone(ctx)


@command.command()
@click.argument("stack")
@options.output
@options.common
def get(stack: str, form: str) -> None:
    """Show a stack."""
    from reconciler.cli.client import connect
    from reconciler.cli.columns import STACK
    from reconciler.cli.output import print_record

    with connect() as api:
        found = api.get(api.stack(stack))
    print_record(found, STACK, form)


@command.command()
@click.argument("stack")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N.")
@options.output
@options.common
def history(stack: str, limit: int | None, form: str) -> None:
    """List a stack's runs, newest first."""
    from reconciler.cli.columns import RUNS

    _list(stack, "runs", RUNS, form, limit)


@command.command()
@click.argument("stack")
@options.output
@options.common
def resources(stack: str, form: str) -> None:
    """List what a stack's last successful run left behind."""
    from reconciler.cli.columns import RESOURCES

    _list(stack, "resources", RESOURCES, form)


@command.command()
@click.argument("stack")
@options.output
@options.common
def outputs(stack: str, form: str) -> None:
    """List a stack's outputs; sensitive values are not shown."""
    from reconciler.cli.columns import OUTPUTS

    _list(stack, "outputs", OUTPUTS, form)


@command.command()
@click.argument("stack")
@options.output
@options.common
def suspend(stack: str, form: str) -> None:
    """Start no more runs of a stack."""
    _steer(stack, "suspend", "is suspended", form)


@command.command()
@click.argument("stack")
@options.output
@options.common
def resume(stack: str, form: str) -> None:
    """Let a suspended stack run again."""
    _steer(stack, "resume", "is resumed", form)


@command.command()
@click.argument("stack")
@options.wait
@options.output
@options.common
@click.pass_context
def run(ctx: click.Context, *, stack: str, wait: bool, form: str) -> None:
    """Run a stack, also when it is Synced."""
    from reconciler.cli.steering import ask_for_run

    ctx.exit(ask_for_run(lambda api: f"{api.stack(stack)}/runs", form, wait=wait))


def _list(stack: str, what: str, columns: Sequence[Column], form: str, limit: int | None = None) -> None:
    from reconciler.cli.client import connect
    from reconciler.cli.output import print_rows

    with connect() as api:
        found = api.every(f"{api.stack(stack)}/{what}", at_most=limit)
    print_rows(found, columns, form)


def _steer(stack: str, verb: str, done: str, form: str) -> None:
    from reconciler.cli.client import connect
    from reconciler.cli.columns import STACK
    from reconciler.cli.output import print_done

    with connect() as api:
        found = api.post(f"{api.stack(stack)}/{verb}")
    print_done(f"{found['id']} {done}", found, STACK, form)
