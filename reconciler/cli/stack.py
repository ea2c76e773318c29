"""`station stack …`: look at one stack and steer it."""

from __future__ import annotations

import click

from reconciler.cli import options


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
    from reconciler.cli.client import connect
    from reconciler.cli.columns import RUNS
    from reconciler.cli.output import print_rows

    with connect() as api:
        runs = api.every(f"{api.stack(stack)}/runs", at_most=limit)
    print_rows(runs, RUNS, form)


@command.command()
@click.argument("stack")
@options.output
@options.common
def resources(stack: str, form: str) -> None:
    """List what a stack's last successful run left behind."""
    from reconciler.cli.client import connect
    from reconciler.cli.columns import RESOURCES
    from reconciler.cli.output import print_rows

    with connect() as api:
        found = api.every(f"{api.stack(stack)}/resources")
    print_rows(found, RESOURCES, form)


@command.command()
@click.argument("stack")
@options.output
@options.common
def outputs(stack: str, form: str) -> None:
    """List a stack's outputs; sensitive values are not shown."""
    from reconciler.cli.client import connect
    from reconciler.cli.columns import OUTPUTS
    from reconciler.cli.output import print_rows

    with connect() as api:
        found = api.every(f"{api.stack(stack)}/outputs")
    print_rows(found, OUTPUTS, form)


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
    from reconciler.cli.client import connect
    from reconciler.cli.steering import show_new_run

    with connect() as api:
        ctx.exit(show_new_run(api, api.post(f"{api.stack(stack)}/runs"), form, wait=wait))


def _steer(stack: str, verb: str, done: str, form: str) -> None:
    from reconciler.cli.client import connect
    from reconciler.cli.columns import STACK
    from reconciler.cli.output import print_record

    with connect() as api:
        found = api.post(f"{api.stack(stack)}/{verb}")
    if form == "table":
        click.echo(f"{found['id']} {done}")
    else:
        print_record(found, STACK, form)
