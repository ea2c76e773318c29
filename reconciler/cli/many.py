"""Changes of many stacks or runs at once: chosen by space and labels, one after the other, each answered by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.client import Api, connect
from reconciler.cli.errors import CliError
from reconciler.cli.output import print_data


def many_command(
    group: click.Group, one: options.Option, *more: options.Option
) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that adds a command with one thing as its argument, or -s and -l to choose many instead."""
    return options.add_command(group, one, options.space, options.labels, *more, options.output)


def check_choice(
    name: str | None, space: str | None, labels: tuple[str, ...], what: str, *, wait: bool = False
) -> None:
    """Raise CliError where a command neither names one thing nor chooses many by -s or -l, or does both.

    `wait`: it is also to wait for the end, which it can only for one.
    """
    chosen = space is not None or bool(labels)
    if chosen == (name is not None):
        raise CliError(f"name one {what}, or choose many with -s SPACE or -l LABELS")
    if chosen and wait:
        raise CliError(f"--wait is for one {what}")


def change_stacks(verb: str, done: str, space: str | None, labels: tuple[str, ...], form: str) -> int:
    """Change every stack of a space and those below it that has the labels, and return the exit code."""
    with connect() as api:
        return _change(api, ((it["id"], f"/stacks/{it['id']}") for it in _stacks(api, space, labels)), verb, done, form)


def change_waiting_runs(verb: str, done: str, space: str | None, labels: tuple[str, ...], form: str) -> int:
    """Change every run that waits, of stacks of a space and those below it with the labels; return the exit code."""
    with connect() as api:
        label = options.split_labels(labels)
        runs = api.every("/runs", space=space, subtree=True if space else None, label=label, status=["unconfirmed"])
        named = ((f"run {run['id']} of {run['stack']}", f"/runs/{run['id']}") for run in runs)
        return _change(api, named, verb, done, form)


def _stacks(api: Api, space: str | None, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    label = options.split_labels(labels)
    found = api.every("/stacks", space=space, subtree=True if space else None, label=label)
    return [stack for stack in found if not stack["retained"]]


def _change(api: Api, items: Iterable[tuple[str, str]], verb: str, done: str, form: str) -> int:
    changed: list[Any] = []
    refused = 0
    for name, path in items:
        try:
            changed.append(api.post(f"{path}/{verb}"))
        except CliError as error:
            click.echo(f"{name}: {error}", err=True)
            refused += 1
            continue
        if form in {"table", "wide"}:
            click.echo(f"{name} {done}")
    if form in {"json", "yaml"}:
        print_data(changed, form)
    elif not changed and not refused:
        click.echo("nothing matches", err=True)
    return 1 if refused else 0
