"""The options that many commands share; the common ones are taken before and after the command's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.cli.errors import CliError

if TYPE_CHECKING:
    from reconciler.settings import Settings

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Common:
    """Which service a command speaks to, as far as flags say so."""

    def __init__(self) -> None:
        self.data_dir: Path | None = None
        self.url: str | None = None
        self.token_file: Path | None = None

    def settings(self, **flags: Any) -> Settings:
        """Load the settings; `flags` are a command's own, None where they were not given."""
        from reconciler.settings import Settings

        return Settings.load({"data_dir": self.data_dir, **flags}, os.environ, Path.cwd())


def common(function: _Function) -> _Function:
    """Add --data-dir, --url and --token-file; the last one given counts."""
    for option in reversed(
        (
            click.option(
                "--data-dir",
                type=click.Path(path_type=Path, file_okay=False),
                metavar="DIR",
                help="The service's data directory. [STATION_DATA_DIR]",
                expose_value=False,
                callback=_keep,
            ),
            click.option(
                "--url",
                metavar="URL",
                help="The service to speak to; without one, the data directory is used. [STATION_URL]",
                expose_value=False,
                callback=_keep,
            ),
            click.option(
                "--token-file",
                type=click.Path(path_type=Path, dir_okay=False),
                metavar="FILE",
                help="Where the token for it is. [STATION_TOKEN holds the token itself]",
                expose_value=False,
                callback=_keep,
            ),
        )
    ):
        function = option(function)
    return function


output = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "wide", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How to print.",
)
space = click.option("-s", "--space", metavar="SPACE", help="Only this space and those below it.")
labels = click.option(
    "-l", "--labels", metavar="LABELS", multiple=True, help="Only stacks with these labels: key=value,key=value."
)
wait = click.option("--wait", is_flag=True, help="Wait for the run's end: exit 3 when it fails or waits.")


def split_labels(written: tuple[str, ...]) -> list[str]:
    """Read `-l a=b,c=d -l e=f`."""
    parts = [part.strip() for text in written for part in text.split(",") if part.strip()]
    for part in parts:
        key, equals, value = part.partition("=")
        if not key.strip() or not equals or "=" in value:
            raise CliError(f"-l {part}: write labels as key=value")
    return parts


def help_alone(ctx: click.Context) -> None:
    """Show a group's help where no command of it was named."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name is not None:
        setattr(ctx.ensure_object(Common), parameter.name, value)
    else:
        ctx.ensure_object(Common)
