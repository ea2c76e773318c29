"""Asking the documents of a branch or commit in a clone, instead of a service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.cli import options
from reconciler.cli.errors import CliError

if TYPE_CHECKING:
    from spaces.in_force import InForce

_Function = TypeVar("_Function", bound=Callable[..., Any])


def at_ref(function: _Function) -> _Function:
    """Add the options that have a clone asked instead of a service."""
    for option in reversed(
        (
            click.option("--ref", metavar="REF", help="Ask the documents of this branch or commit, in a clone."),
            click.option(
                "--repository",
                type=click.Path(path_type=Path, exists=True),
                default=".",
                help="The clone for --ref; this directory.",
            ),
            click.option("--config-path", metavar="DIR", help="The directory in it that holds the configuration."),
            options.output,
            options.common,
        )
    ):
        function = option(function)
    return function


def read_clone(ctx: click.Context, *, ref: str, repository: Path, config_path: str | None) -> InForce:
    """Give what would be in force at a ref of a clone; say on stderr what is wrong there."""
    from reconciler.git.trees import Trees
    from reconciler.loop.preview import in_force_at

    settings = ctx.ensure_object(options.Common).settings(config_path=config_path)
    trees = Trees.of_clone(repository)
    revision = trees.resolve(ref)
    if revision is None:
        raise CliError(f"there is no {ref} in this repository")
    found = in_force_at(trees, revision, settings.config_path)
    for diagnostic in found.diagnostics:
        if diagnostic.severity == "error":
            click.echo(f"{diagnostic} (what it is about does not count)", err=True)
    return found
