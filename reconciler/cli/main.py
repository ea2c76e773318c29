"""The door of the command line."""

from __future__ import annotations

from collections.abc import Sequence

import click

from reconciler.cli.commands import COMMANDS
from reconciler.cli.errors import explain
from reconciler.cli.lazy import LazyGroup
from reconciler.cli.options import CONTEXT, common, help_alone
from reconciler.version import __version__


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings=CONTEXT,
    invoke_without_command=True,
    no_args_is_help=False,
)
@click.version_option(__version__, prog_name="station", message="%(prog)s %(version)s")
@common
@click.pass_context
def station(ctx: click.Context) -> None:
    """Hold infrastructure where a Git repository says it is meant to be."""
    help_alone(ctx)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    try:
        result = station.main(
            args=None if arguments is None else list(arguments), prog_name="station", standalone_mode=False
        )
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the one place where a person is told
        return explain(error)
    # What click gives back for its own `Exit`; commands themselves give nothing.
    return result if isinstance(result, int) else 0
