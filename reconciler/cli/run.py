"""`station run …`: show one run, or decide about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.columns import CHANGES, OUTPUT_CHANGES, RUN
from reconciler.cli.completing import run_argument
from reconciler.cli.many import change_waiting_runs, check_choice, many_command
from reconciler.cli.output import print_data, print_record, print_rows
from reconciler.cli.run_commands import print_log, request_run, show_run


@options.group("run")
def command() -> None:
    """Show, confirm, discard, cancel, retry, review or let through a run. RUN is its id, or a part of it."""


def _command(*more: options.Option) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that adds a command with RUN, `more` options, -o and the common ones."""
    return options.add_command(command, run_argument(), *more, options.output)


@_command()
def get(run: str, form: str) -> None:
    """Show a run."""
    with connect() as api:
        print_record(api.get(api.run(run)), RUN, form)


@_command()
def plan(run: str, form: str) -> None:
    """Show the changes that a run planned."""
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
        click.echo("changes, which the tool does not list" if found["hasChanges"] else "no changes")


@command.command()
@run_argument()
@click.option("-f", "--follow", is_flag=True, help="Keep printing until the run ends.")
@options.common
def logs(*, run: str, follow: bool) -> None:
    """Print a run's log."""
    with connect() as api:
        print_log(api, api.run(run), follow=follow)


@many_command(command, run_argument(required=False), options.wait)
@click.pass_context
def confirm(
    ctx: click.Context, *, run: str | None, space: str | None, labels: tuple[str, ...], wait: bool, form: str
) -> None:
    """Confirm a waiting run, or all waiting runs of some stacks, so that they apply their plans."""
    check_choice(run, space, labels, "run", wait=wait)
    if run is None:
        ctx.exit(change_waiting_runs("confirm", "is confirmed", space, labels, form))
    ctx.exit(_decide(run, "confirm", "is confirmed", form, wait=wait))


@_command(options.wait)
@click.pass_context
def through(ctx: click.Context, *, run: str, wait: bool, form: str) -> None:
    """Let a run through the freeze windows that are open, by the roles that these ask for. The audit keeps it."""
    ctx.exit(_decide(run, "through", "is let through", form, wait=wait))


@many_command(command, run_argument(required=False))
@click.pass_context
def discard(ctx: click.Context, *, run: str | None, space: str | None, labels: tuple[str, ...], form: str) -> None:
    """Discard a waiting run, or all waiting runs of some stacks. Their plans are not applied."""
    check_choice(run, space, labels, "run")
    if run is None:
        ctx.exit(change_waiting_runs("discard", "is discarded", space, labels, form))
    ctx.exit(_decide(run, "discard", "is discarded", form, wait=False))


@_command(options.wait)
@click.pass_context
def cancel(ctx: click.Context, *, run: str, wait: bool, form: str) -> None:
    """Cancel a queued run, or stop one that is planning or applying."""
    ctx.exit(_decide(run, "cancel", "is asked to stop", form, wait=wait))


@_command()
@click.pass_context
def prioritize(ctx: click.Context, *, run: str, form: str) -> None:
    """Let a queued run start before all others."""
    ctx.exit(_decide(run, "prioritize", "starts before all others", form, wait=False))


@_command(options.wait)
@click.pass_context
def retry(ctx: click.Context, *, run: str, wait: bool, form: str) -> None:
    """Retry a failed or discarded run.

    The new run uses the current configuration. Interrupted and canceled runs can be retried, too.
    """
    ctx.exit(request_run(lambda api: f"{api.run(run)}/retry", form, wait=wait))


@_command(
    click.option(
        "--target", "targets", multiple=True, required=True, metavar="ADDR", help="A resource; may be repeated."
    ),
    options.wait,
)
@click.pass_context
def replan(ctx: click.Context, *, run: str, targets: tuple[str, ...], wait: bool, form: str) -> None:
    """Plan only some resources of a run, in its place.

    The new run waits for confirmation. After it the stack stays out of sync until a run applies the rest.
    """
    ctx.exit(request_run(lambda api: f"{api.run(run)}/replan", form, wait=wait, body={"targets": list(targets)}))


@_command(
    click.option("--approve/--reject", "approves", default=None, help="Your verdict; one of the two is required."),
    click.option("--note", default="", help="Your reason. Everyone who may read the run sees it."),
)
@click.pass_context
def review(ctx: click.Context, *, run: str, approves: bool | None, note: str, form: str) -> None:
    """Approve or reject a waiting run. The approval policies over its stack decide what your review changes."""
    if approves is None:
        raise click.UsageError("add --approve or --reject")
    with connect() as api:
        found = api.post(f"{api.run(run)}/reviews", {"approve": approves, "note": note})
        sentence = (
            f"your {'approval' if approves else 'rejection'} of run {found['id']} of {found['stack']} is recorded"
        )
        effect = found.get("review")
        if effect is not None:
            sentence += f"{'' if effect['counts'] else ', but does not count'}: {effect['because']}"
        ctx.exit(show_run(api, found, form, sentence, wait=False))


def _decide(run: str, verb: str, done: str, form: str, *, wait: bool) -> int:
    with connect() as api:
        found = api.post(f"{api.run(run)}/{verb}")
        ended = found["status"] in {"canceled", "discarded"}
        became = f"is {found['status']}" if ended else done
        sentence = f"run {found['id']} of {found['stack']} {became}"
        return show_run(api, found, form, sentence, wait=wait, pending=not ended)
