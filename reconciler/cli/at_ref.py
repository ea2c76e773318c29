"""Options and code of commands that read a branch or commit in a clone instead of asking a service."""

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
    """Add --ref, --repository and --config-path, and the output and common options."""
    for option in reversed(
        (
            click.option(
                "--ref",
                metavar="REF",
                help="Read this branch or commit in a clone, not the service.",
            ),
            click.option(
                "--repository",
                type=click.Path(path_type=Path, exists=True),
                default=".",
                help="The clone for --ref. Default: this directory.",
            ),
            click.option("--config-path", metavar="DIR", help="The configuration's directory in the clone."),
            options.output,
            options.common,
        )
    ):
        function = option(function)
    return function


def read_clone(ctx: click.Context, *, ref: str, repository: Path, config_path: str | None) -> InForce:
    """Return what would be in force at a ref of a clone; print its errors on standard error."""
    from reconciler.git.trees import Trees
    from reconciler.loop.desired.earlier import in_force_at

    settings = ctx.ensure_object(options.Common).settings(config_path=config_path)
    trees = Trees.of_clone(repository)
    revision = trees.resolve(ref)
    if revision is None:
        raise CliError(f"there is no branch or commit {ref} in this clone")
    found = in_force_at(trees, revision, settings.config_path)
    for diagnostic in found.diagnostics:
        if diagnostic.severity == "error":
            click.echo(f"{diagnostic} (this document is ignored)", err=True)
    return found
