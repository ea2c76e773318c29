"""`station task STACK -- CMD`: a command in a stack's directory and environment."""

from __future__ import annotations

import shlex

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.completing import stack_argument
from reconciler.cli.run_commands import print_log, show_run


@click.command("task", context_settings=options.CONTEXT)
@stack_argument()
@click.argument("words", metavar="CMD", nargs=-1, required=True, type=click.UNPROCESSED)
@options.wait
@options.output
@options.common
@click.pass_context
def command(ctx: click.Context, *, stack: str, words: tuple[str, ...], wait: bool, form: str) -> None:
    """Run CMD in the directory and environment of STACK, for example `terraform state list`.

    Write -- before CMD. If CMD is one word, a shell runs it. You need the right task:create. The audit
    keeps CMD, so put no secret into it.
    """
    line = words[0] if len(words) == 1 else shlex.join(words)
    with connect() as api:
        run = api.post(f"{api.stack(stack)}/tasks", {"command": line})
        code = show_run(api, run, form, f"task {run['id']} of {run['stack']} is queued", wait=wait)
        if wait and form in {"table", "wide"}:
            print_log(api, f"/runs/{run['id']}", follow=False)
    ctx.exit(code)
