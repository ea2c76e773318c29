"""`--watch`: a list that is printed again as it changes, until somebody stops it with Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import click

from reconciler.cli.errors import CliError
from reconciler.cli.output import Column, Row, print_rows

_PAUSE = 2.0

option = click.option("-w", "--watch", is_flag=True, help="Print the list again whenever it changes, until Ctrl-C.")


def show(find: Callable[[], Sequence[Row]], columns: Sequence[Column], form: str, *, watch: bool) -> None:
    """Print a list; with `watch`, again and again."""
    if watch and form in {"json", "yaml"}:
        raise CliError("--watch is for tables: leave out -o, or write -o wide")
    shown = find()
    print_rows(shown, columns, form)
    while watch:
        sys.stdout.flush()
        time.sleep(_PAUSE)
        found = find()
        if found != shown:
            shown = found
            click.clear()
            print_rows(shown, columns, form)
