"""The options that many commands share. The common ones may stand before or after the command's name."""

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

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A decorator that adds an option or argument to a command."""


class Common:
    """Which service a command speaks to, as far as its flags name one."""

    def __init__(self) -> None:
        self.data_dir: Path | None = None
        self.url: str | None = None
        self.token_file: Path | None = None

    def settings(self, **flags: Any) -> Settings:
        """Return the settings; `flags` are the command's own, None where they were not given."""
        from reconciler.settings import Settings

        return Settings.load({"data_dir": self.data_dir, **flags}, os.environ, Path.cwd())

    def directory(self) -> Path:
        """Return the data directory as `settings` would, which take longer to read."""
        from reconciler.setting_sources import DATA_DIR, gather

        values, _ = gather(["data_dir"], {"data_dir": self.data_dir}, os.environ, Path.cwd())
        found = values.get("data_dir", DATA_DIR)
        return Path(found) if isinstance(found, str | Path) else self.settings().data_dir


def common(function: _Function) -> _Function:
    """Add --data-dir, --url and --token-file; the last one given wins."""
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
                help="The service to use; without one, the command works on the data directory. [STATION_URL]",
                expose_value=False,
                callback=_keep,
            ),
            click.option(
                "--token-file",
                type=click.Path(path_type=Path, dir_okay=False),
                metavar="FILE",
                help="A file with the token for the service. [STATION_TOKEN holds the token itself]",
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
    help="Output format.",
)
space = click.option("-s", "--space", metavar="SPACE", help="Only this space and the spaces below it.")
labels = click.option(
    "-l", "--labels", metavar="LABELS", multiple=True, help="Only stacks with these labels: key=value,key=value."
)
limit = click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N runs.")
wait = click.option("--wait", is_flag=True, help="Wait until the run ends; exit 3 if it fails or waits for a person.")


def add_command(group: click.Group, *parameters: Option) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that makes a function a command of `group`, with these parameters and the common options."""

    def add(function: Callable[..., Any]) -> click.Command:
        decorated = common(function)
        for parameter in reversed(parameters):
            decorated = parameter(decorated)
        return group.command()(decorated)

    return add


def group(name: str) -> Callable[[Callable[[], None]], click.Group]:
    """Return a decorator that makes a function a group of commands; alone, the group prints its help."""

    def make(function: Callable[[], None]) -> click.Group:
        def alone(ctx: click.Context) -> None:
            help_alone(ctx)

        alone.__doc__ = function.__doc__
        made = click.group(name, context_settings=CONTEXT, invoke_without_command=True, no_args_is_help=False)
        return made(common(click.pass_context(alone)))

    return make


def split_labels(written: tuple[str, ...]) -> list[str]:
    """Return the labels of `-l a=b,c=d -l e=f`, one `key=value` each."""
    parts = [part.strip() for text in written for part in text.split(",") if part.strip()]
    for part in parts:
        key, equals, value = part.partition("=")
        if not key.strip() or not equals or "=" in value:
            raise CliError(f"-l {part}: write labels as key=value")
    return parts


def help_alone(ctx: click.Context) -> None:
    """Print a group's help where no command of it was named."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name is not None:
        setattr(ctx.ensure_object(Common), parameter.name, value)
    else:
        ctx.ensure_object(Common)
