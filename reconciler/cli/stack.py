"""`station stack …`: show one stack, run it, suspend or resume it, destroy what it made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.columns import OUTPUTS, RESOURCES, RUNS, STACK
from reconciler.cli.completing import stack_argument
from reconciler.cli.many import change_stacks, check_choice, many_command
from reconciler.cli.output import Column, print_done, print_record, print_rows
from reconciler.cli.run_commands import request_run


@options.group("stack")
def command() -> None:
    """Show, run, suspend, resume, lock or pin a stack. STACK is space/name, or a name that only one stack has."""


def _command(*more: options.Option) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that adds a command with STACK, `more` options, -o and the common ones."""
    return options.add_command(command, stack_argument(), *more, options.output)


@_command()
def get(stack: str, form: str) -> None:
    """Show a stack."""
    with connect() as api:
        print_record(api.get(api.stack(stack)), STACK, form)


@_command(options.limit)
def history(stack: str, limit: int | None, form: str) -> None:
    """List a stack's runs, newest first."""
    _list(stack, "runs", RUNS, form, limit)


@_command()
def resources(stack: str, form: str) -> None:
    """List the resources of a stack, as of its last successful run."""
    _list(stack, "resources", RESOURCES, form)


@_command()
def outputs(stack: str, form: str) -> None:
    """List a stack's outputs. Sensitive values are not shown."""
    _list(stack, "outputs", OUTPUTS, form)


@_command()
def forget(stack: str, form: str) -> None:
    """Forget a stack that left Git. Its resources stay; a new stack of that name starts from scratch."""
    _change(stack, "forget", "is forgotten", form)


@many_command(command, stack_argument(required=False))
@click.pass_context
def suspend(ctx: click.Context, /, **chosen: Any) -> None:
    """Suspend a stack, or many, so that no more runs start."""
    ctx.exit(_steer("suspend", "is suspended", **chosen))


@many_command(command, stack_argument(required=False))
@click.pass_context
def resume(ctx: click.Context, /, **chosen: Any) -> None:
    """Resume a suspended stack, or many."""
    ctx.exit(_steer("resume", "is resumed", **chosen))


_note = click.option("--note", required=True, metavar="TEXT", help="The reason, for the others.")


def _for(until: str) -> options.Option:
    said = f"How long at most, such as 30m, 4h or 2d. Default: until {until}."
    return click.option("--for", "duration", metavar="TIME", help=said)


@_command(_note, _for("somebody unlocks it"))
def lock(stack: str, note: str, duration: str | None, form: str) -> None:
    """Lock a stack so that no run starts until it is unlocked. An active run continues."""
    with connect() as api:
        found = api.post(f"{api.stack(stack)}/lock", {"note": note, "for": duration})
    print_done(f"{found['id']} is locked", found, STACK, form)


@_command()
def unlock(stack: str, form: str) -> None:
    """Unlock a stack that you locked. With the right stack:unlock, also one that somebody else locked."""
    _change(stack, "unlock", "is unlocked", form)


@_command(
    click.option("--at", required=True, metavar="REV", help="A commit of the configuration, or a run of the stack."),
    _note,
    _for("somebody unpins it, or a commit changes the stack"),
)
def pin(stack: str, at: str, note: str, duration: str | None, form: str) -> None:
    """Pin a stack: it stays at, or goes back to, what it was at a revision, while the rest of the branch goes on."""
    with connect() as api:
        found = api.post(f"{api.stack(stack)}/pin", {"at": at, "note": note, "for": duration})
        there = found["pin"]
        later = "" if there["inForce"] else f": {_NOT_YET if api.attended else _LATER}"
    print_done(f"{found['id']} is pinned to {there['revision'][:12]}{later}", found, STACK, form)


@_command()
def unpin(stack: str, form: str) -> None:
    """End the pin of a stack: it follows the branch again."""
    with connect() as api:
        found = api.post(f"{api.stack(stack)}/unpin")
        later = f": {_NOT_YET if api.attended else _LATER}" if found["pin"] else ""
    print_done(f"{found['id']} is unpinned{later}", found, STACK, form)


_NOT_YET = "the service has not taken that in yet"
_LATER = "the next station reconcile or service takes that in"


@many_command(command, stack_argument(required=False), options.wait)
@click.pass_context
def run(
    ctx: click.Context, *, stack: str | None, space: str | None, labels: tuple[str, ...], wait: bool, form: str
) -> None:
    """Start a run of a stack, or of many, even if they are Synced."""
    check_choice(stack, space, labels, "stack", wait=wait)
    if stack is None:
        ctx.exit(change_stacks("runs", "has a run that is queued", space, labels, form))
    ctx.exit(request_run(lambda api: f"{api.stack(stack)}/runs", form, wait=wait))


@_command(
    click.option(
        "--ref", metavar="REF", help="Plan as if this branch or commit were merged. Default: plan what is in force."
    ),
    options.wait,
)
@click.pass_context
def plan(ctx: click.Context, *, stack: str, ref: str | None, wait: bool, form: str) -> None:
    """Plan a stack without applying anything: as it is in force, or as it would be with REF merged.

    What station diff calls held is not planned, and REF gives the run no secret that the stack does not have.
    """
    body = None if ref is None else {"ref": ref}
    ctx.exit(request_run(lambda api: f"{api.stack(stack)}/plan", form, wait=wait, body=body))


@_command(options.wait)
@click.pass_context
def refresh(ctx: click.Context, *, stack: str, wait: bool, form: str) -> None:
    """Take drift over into the tfstate, with the stack's own tool, as station drift accept does."""
    ctx.exit(request_run(lambda api: f"{api.stack(stack)}/refresh", form, wait=wait))


@_command(options.wait)
@click.pass_context
def destroy(ctx: click.Context, *, stack: str, wait: bool, form: str) -> None:
    """Plan the destruction of what a stack made. The run waits for confirmation; the stack is suspended afterwards."""
    ctx.exit(request_run(lambda api: f"{api.stack(stack)}/destroy", form, wait=wait))


def _steer(  # noqa: PLR0917
    verb: str, done: str, stack: str | None, space: str | None, labels: tuple[str, ...], form: str
) -> int:
    check_choice(stack, space, labels, "stack")
    if stack is None:
        return change_stacks(verb, done, space, labels, form)
    _change(stack, verb, done, form)
    return 0


def _list(stack: str, part: str, columns: Sequence[Column], form: str, limit: int | None = None) -> None:
    with connect() as api:
        print_rows(api.every(f"{api.stack(stack)}/{part}", at_most=limit), columns, form)


def _change(stack: str, verb: str, done: str, form: str) -> None:
    with connect() as api:
        found = api.post(f"{api.stack(stack)}/{verb}")
    print_done(f"{found['id']} {done}", found, STACK, form)
