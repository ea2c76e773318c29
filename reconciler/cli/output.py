"""Output of commands: tables for people, JSON and YAML for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

Row = Mapping[str, Any]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Colours may stay; every other sequence that a terminal would obey (title, cursor, clipboard) is removed.
_ESCAPES = re.compile(
    r"(?P<colour>\x1b\[[0-9;]*m)"
    r"|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x1b.?|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]",
    re.MULTILINE,
)


class Column(NamedTuple):
    """One column: its title, and the function that returns its value from a row. A `wide` one needs `-o wide`."""

    title: str
    show: Callable[[Row], object]
    wide: bool = False


def key(name: str) -> Callable[[Row], object]:
    """Return a function that reads `name` from a row; dots go deeper."""

    def show(row: Row) -> object:
        value: Any = row
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    return show


def short_json(value: Any) -> str:
    """Return a value as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."


def moment(name: str) -> Callable[[Row], object]:
    """Return a function that reads a time from a row, to the second, in UTC."""

    def show(row: Row) -> object:
        value = key(name)(row)
        return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, str) else None

    return show


def short(name: str) -> Callable[[Row], object]:
    """Return a function that reads the first characters of a revision from a row."""

    def show(row: Row) -> object:
        value = key(name)(row)
        return value[:10] if isinstance(value, str) else None

    return show


def print_rows(rows: Sequence[Row], columns: Sequence[Column], form: str) -> None:
    """Print a list: whole rows as JSON and YAML, the columns as a table."""
    if form in {"json", "yaml"}:
        print_data(list(rows), form)
        return
    shown = [column for column in columns if form == "wide" or not column.wide]
    print_table([column.title for column in shown], [[column.show(row) for column in shown] for row in rows])


def print_record(row: Row, columns: Sequence[Column], form: str) -> None:
    """Print one row: whole as JSON and YAML, else a line for each column that has a value."""
    if form in {"json", "yaml"}:
        print_data(row, form)
        return
    shown = [(column.title, cell(column.show(row))) for column in columns if form == "wide" or not column.wide]
    width = max((len(title) for title, _ in shown), default=0)
    for title, text in shown:
        if text:
            click.echo(f"{title.ljust(width)}  {text}")


def print_done(sentence: str, row: Row, columns: Sequence[Column], form: str) -> None:
    """Print the result of a change: a sentence in place of a table, the whole row in other forms."""
    if form == "table":
        click.echo(sentence)
    else:
        print_record(row, columns, form)


def print_data(data: object, form: str) -> None:
    """Print JSON or YAML."""
    if form == "json":
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    from spaces.reading.writing import as_yaml

    click.echo(as_yaml(data), nl=False)


def print_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: with rich on a terminal, else as plain columns that other programs can cut."""
    cells = [[cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(titles, cells)
        return
    widths = [max(len(line[index]) for line in [list(titles), *cells]) for index in range(len(titles))]
    for line in [list(titles), *cells]:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def print_text(text: str) -> None:
    """Print text of several lines without control characters."""
    for line in text.splitlines():
        click.echo(cell(line))


def cell(value: object) -> str:
    """Return a value as one line of text without control characters."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case str():
            text = value
        case list() | dict():
            text = json.dumps(value, ensure_ascii=False)
        case _:
            text = str(value)
    return _CONTROL.sub(" ", text)


def clean_log(text: str) -> str:
    """Return a log without control sequences; colours stay where the output is a terminal."""
    keep_colours = sys.stdout.isatty()
    return _ESCAPES.sub(lambda found: (found["colour"] or "") if keep_colours else "", text)


def _print_rich(titles: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for row in cells:
        table.add_row(*(Text(text, overflow="fold") for text in row))
    Console(highlight=False).print(table)
