"""What commands that start or steer runs print, and what they exit with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from reconciler.cli.client import Api, connect
from reconciler.cli.columns import RUN
from reconciler.cli.following import exit_code, wait_for
from reconciler.cli.output import print_done, print_record

_LATER = "the next station reconcile or service carries it out"


def ask_for_run(path: Callable[[Api], str], form: str, *, wait: bool) -> int:
    """Ask for a run where `path` says, and show it; gives the exit code."""
    with connect() as api:
        run = api.post(path(api))
        return show_steered(api, run, form, f"run {run['id']} of {run['stack']} is queued", wait=wait)


def show_steered(api: Api, run: dict[str, Any], form: str, said: str, *, wait: bool, later: bool = True) -> int:
    """Show what became of a run; `said` is the line for persons, `later`: something is still to be carried out."""
    hint = f": {_LATER}" if later and not api.attended else ""
    if not wait:
        print_done(said + hint, run, RUN, form)
        return 0
    if hint:
        click.echo(f"{said}{hint}", err=True)
    run = wait_for(api, f"/runs/{run['id']}")
    print_record(run, RUN, form)
    return exit_code(run)
