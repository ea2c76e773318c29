"""`station run …`: look at one run and steer it."""

from __future__ import annotations

import click

from reconciler.cli import options


@click.group("run", context_settings=options.CONTEXT, invoke_without_command=True, no_args_is_help=False)
@options.common
@click.pass_context
def command(ctx: click.Context) -> None:
    """Look at a run and steer it. RUN is a run's id, or the beginning of it that no other run has."""
    options.help_alone(ctx)


@command.command()
@click.argument("run")
@options.output
@options.common
def get(run: str, form: str) -> None:
    """Show a run."""
    from reconciler.cli.client import connect
    from reconciler.cli.columns import RUN
    from reconciler.cli.output import print_record

    with connect() as api:
        found = api.get(api.run(run))
    print_record(found, RUN, form)


@command.command()
@click.argument("run")
@options.output
@options.common
def plan(run: str, form: str) -> None:
    """Show what a run's plan found."""
    from reconciler.cli.client import connect
    from reconciler.cli.columns import CHANGES, OUTPUT_CHANGES
    from reconciler.cli.output import print_data, print_rows

    with connect() as api:
        found = api.get(f"{api.run(run)}/plan")
    if form in {"json", "yaml"}:
        print_data(found, form)
        return
    if found["changes"]:
        print_rows(found["changes"], CHANGES, form)
    if found["outputs"]:
        print_rows(found["outputs"], OUTPUT_CHANGES, form)
    if not found["changes"] and not found["outputs"]:
        click.echo("there are changes" if found["hasChanges"] else "no changes")


@command.command()
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@options.common
def logs(*, run: str, follow: bool) -> None:
    """Print a run's log."""
    from reconciler.cli.client import connect
    from reconciler.cli.following import print_log

    with connect() as api:
        print_log(api, api.run(run), follow=follow)


@command.command()
@click.argument("run")
@options.wait
@options.output
@options.common
@click.pass_context
def confirm(ctx: click.Context, *, run: str, wait: bool, form: str) -> None:
    """Say yes to a run that waits."""
    ctx.exit(_steer(run, "confirm", "is confirmed", form, wait=wait))


@command.command()
@click.argument("run")
@options.output
@options.common
@click.pass_context
def discard(ctx: click.Context, run: str, form: str) -> None:
    """Say no to a run that waits."""
    ctx.exit(_steer(run, "discard", "is discarded", form, wait=False))


@command.command()
@click.argument("run")
@options.wait
@options.output
@options.common
@click.pass_context
def cancel(ctx: click.Context, *, run: str, wait: bool, form: str) -> None:
    """Stop a run."""
    ctx.exit(_steer(run, "cancel", "is asked to stop", form, wait=wait))


@command.command()
@click.argument("run")
@options.wait
@options.output
@options.common
@click.pass_context
def retry(ctx: click.Context, *, run: str, wait: bool, form: str) -> None:
    """Run again, for what is desired now, what came to nothing."""
    from reconciler.cli.steering import ask_for_run

    ctx.exit(ask_for_run(lambda api: f"{api.run(run)}/retry", form, wait=wait))


@command.command()
@click.argument("run")
@click.option("--approve/--reject", "approves", default=None, help="What you think of it.")
@click.option("--note", default="", help="Why; everybody who may read the run sees it.")
@options.output
@options.common
@click.pass_context
def review(ctx: click.Context, *, run: str, approves: bool | None, note: str, form: str) -> None:
    """Approve or reject a run that waits; what that changes, the policies over it say."""
    from reconciler.cli.client import connect
    from reconciler.cli.steering import show_steered

    if approves is None:
        raise click.UsageError("say --approve or --reject")
    with connect() as api:
        found = api.post(f"{api.run(run)}/reviews", {"approve": approves, "note": note})
        said = f"your {'approval' if approves else 'rejection'} of run {found['id']} of {found['stack']} is noted"
        ctx.exit(show_steered(api, found, form, said, wait=False))


def _steer(run: str, verb: str, done: str, form: str, *, wait: bool) -> int:
    from reconciler.cli.client import connect
    from reconciler.cli.steering import show_steered

    with connect() as api:
        found = api.post(f"{api.run(run)}/{verb}")
        ended = found["status"] in {"canceled", "discarded"}
        became = f"is {found['status']}" if ended else done
        said = f"run {found['id']} of {found['stack']} {became}"
        return show_steered(api, found, form, said, wait=wait, later=not ended)
