"""What commands that start, change or follow a run have in common: waiting for it, printing it, the exit code.

`stack run` and the commands of `run` call these. A run that was only requested is printed with a hint when no service
is running that would carry it out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from reconciler.cli.client import Api, connect
from reconciler.cli.columns import RUN
from reconciler.cli.output import clean_log, print_done, print_record

_ACTIVE = frozenset({"queued", "planning", "unconfirmed", "applying"})
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0
_FAILED_OR_WAITS = 3
_HINT = "the next station reconcile or service carries it out"


def request_run(path: Callable[[Api], str], form: str, *, wait: bool, body: Mapping[str, Any] | None = None) -> int:
    """Request a run at an API path, print it, and return the exit code."""
    with connect() as api:
        run = api.post(path(api), body)
        return show_run(api, run, form, f"run {run['id']} of {run['stack']} is queued", wait=wait)


def show_run(api: Api, run: dict[str, Any], form: str, sentence: str, *, wait: bool, pending: bool = True) -> int:
    """Print a run that a command changed, and return the exit code.

    `sentence` is printed in place of a table; `pending` is False where the service has nothing left to do for it.
    """
    hint = f"; {_HINT}" if pending and not api.attended else ""
    if not wait:
        print_done(sentence + hint, run, RUN, form)
        return 0
    if hint:
        click.echo(f"{sentence}{hint}", err=True)
    run = _wait_for(api, f"/runs/{run['id']}")
    print_record(run, RUN, form)
    return 0 if run["status"] == "finished" else _FAILED_OR_WAITS


def print_log(api: Api, run_path: str, *, follow: bool) -> None:
    """Print a run's log so far; with `follow`, until the run has ended."""
    offset = 0
    pause = _FIRST_PAUSE
    prompted = False
    while True:
        piece = api.get(f"{run_path}/log", offset=offset)
        if piece["text"]:
            click.echo(clean_log(piece["text"]), nl=False)
            pause = _FIRST_PAUSE
        more = piece["next"] > offset
        offset = piece["next"]
        if piece["ended"] or (not follow and not more):
            return
        if more:
            continue
        if not prompted and sys.stderr.isatty():
            run = api.get(run_path)
            if prompted := _waits_for_person(run):
                click.echo(f"run {run['id']} waits for confirmation: station run confirm {run['id']}", err=True)
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def _wait_for(api: Api, run_path: str) -> dict[str, Any]:
    """Wait until a run has ended or waits for a person, and return it; on a terminal, print its steps."""
    printed: tuple[object, ...] = ()
    pause = _FIRST_PAUSE
    while True:
        run: dict[str, Any] = api.get(run_path)
        step = (run["status"], run["phase"])
        if step != printed and sys.stderr.isatty():
            phase = f" ({run['phase']})" if run["phase"] else ""
            click.echo(f"run {run['id']}: {run['status']}{phase}", err=True)
        printed = step
        if run["status"] not in _ACTIVE or _waits_for_person(run):
            return run
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def _waits_for_person(run: Mapping[str, Any]) -> bool:
    return run["status"] == "unconfirmed" and run["confirmedBy"] is None
