"""Waiting for a run, and following its log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from reconciler.cli.client import Api
from reconciler.cli.output import clean_log

_ACTIVE = frozenset({"queued", "planning", "unconfirmed", "applying"})
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0

FAILED_OR_WAITS = 3


def waits_for_person(run: Mapping[str, Any]) -> bool:
    """Say whether a run goes no further before somebody confirms it."""
    return run["status"] == "unconfirmed" and run["confirmedBy"] is None


def wait_for(api: Api, run_path: str) -> dict[str, Any]:
    """Wait until a run has ended or waits for somebody, telling its steps on a terminal; gives the run."""
    told: tuple[object, ...] = ()
    pause = _FIRST_PAUSE
    while True:
        run: dict[str, Any] = api.get(run_path)
        step = (run["status"], run["phase"])
        if step != told and sys.stderr.isatty():
            phase = f" ({run['phase']})" if run["phase"] else ""
            click.echo(f"run {run['id']}: {run['status']}{phase}", err=True)
        told = step
        if run["status"] not in _ACTIVE or waits_for_person(run):
            return run
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def exit_code(run: Mapping[str, Any]) -> int:
    """Give the exit code that `--wait` ends with."""
    return 0 if run["status"] == "finished" else FAILED_OR_WAITS


def print_log(api: Api, run_path: str, *, follow: bool) -> None:
    """Print a run's log so far; `follow`: until the run has ended."""
    offset = 0
    pause = _FIRST_PAUSE
    told = False
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
        if not told and sys.stderr.isatty():
            run = api.get(run_path)
            if told := waits_for_person(run):
                click.echo(f"waits for confirmation: station run confirm {run['id']}", err=True)
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)
