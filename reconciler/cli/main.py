"""The entry point of the command line: runs one command and turns every error into one line and an exit code."""

from __future__ import annotations

from collections.abc import Sequence

import click

from reconciler.cli.commands import COMMANDS, LazyGroup
from reconciler.cli.errors import explain
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
    """Keep infrastructure as a Git repository describes it."""
    help_alone(ctx)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        result = station.main(
            args=None if arguments is None else list(arguments), prog_name="station", standalone_mode=False
        )
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the one place that reports errors to a person
        return explain(error)
    # click returns the code of its own `Exit`; our commands return nothing.
    return result if isinstance(result, int) else 0
