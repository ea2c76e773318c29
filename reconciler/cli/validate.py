"""`station validate`: reports errors without a network or a service, and imports the rules alone."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.diagnostics import line
from reconciler.cli.errors import CliError
from reconciler.cli.output import print_data

if TYPE_CHECKING:
    from spaces.reading.attachments import Attach

_SUFFIXES = (".yaml", ".yml")


@click.command("validate")
@click.argument("path", default=".", type=click.Path(path_type=Path))
@options.output
@click.pass_context
def command(ctx: click.Context, path: Path, form: str) -> None:
    """Report every error in the configuration repository at PATH. Default: this directory.

    For a directory, the source paths of its stacks are checked, too. For a single file, only the file is checked.
    """
    # Everything that reads documents is slow to import.
    from reconciler.cli.sources import SourceCheck
    from reconciler.policies.checking import check_rego
    from reconciler.policies.documents import about_documents
    from spaces.diagnostics import in_order
    from spaces.rules.advice import advice
    from spaces.validate import examine_files, findings

    files = _read(path)
    base = path if path.is_dir() else path.parent
    examined = examine_files(files, attach_in(base), check_rego)
    about_sources = SourceCheck.of(path).check(examined) if path.is_dir() else ()
    # A single file knows nobody.
    about_others = advice(examined.documents) if path.is_dir() else ()
    found = in_order((*findings(examined, files), *about_sources, *about_others, *about_documents(examined.documents)))
    diagnostics = [diagnostic.to_json() for diagnostic in found]
    errors = Counter(diagnostic["severity"] for diagnostic in diagnostics)["error"]
    if form in {"json", "yaml"}:
        print_data({"diagnostics": diagnostics}, form)
    else:
        directory = "" if base == Path() else f"{base}/"
        for diagnostic in diagnostics:
            click.echo(line(diagnostic, directory))
        if not any(True for _ in examined.documents.refs()) and not errors:
            click.echo(
                f"there are no Stationkeeper documents in {path} ({len(files)} YAML files read): name the directory "
                "that holds the configuration, or create one with station init DIR",
                err=True,
            )
        elif not errors:
            click.echo(f"{len(files)} files read, no errors", err=True)
    if errors:
        click.echo(f"error: {errors} {'error' if errors == 1 else 'errors'} in {path}", err=True)
        ctx.exit(1)


def _read(path: Path) -> dict[str, bytes]:
    """Return the files that the service would read in this directory; like the service, skip links."""
    if path.is_file():
        return {path.name: path.read_bytes()}
    if not path.is_dir():
        raise CliError(f"there is no file or directory {path}")
    files = {}
    for directory, below, names in os.walk(path, onerror=_refuse):
        below[:] = sorted(name for name in below if name != ".git")
        for name in names:
            file = Path(directory, name)
            if name.endswith(_SUFFIXES) and file.is_file() and not file.is_symlink():
                files[file.relative_to(path).as_posix()] = file.read_bytes()
    return files


def attach_in(base: Path) -> Attach:
    """Return a function that reads files that documents refer to below a directory, never through a link."""
    from spaces.reading.attachments import MAX_BYTES, NO_FILE, NOT_THERE, THROUGH_LINK, TOO_LARGE, Unusable

    def attach(path: str) -> bytes | Unusable:
        here = base
        for part in path.split("/"):
            here /= part
            if here.is_symlink():
                return THROUGH_LINK
        if not here.exists():
            return NOT_THERE
        if not here.is_file():
            return NO_FILE
        return here.read_bytes() if here.stat().st_size <= MAX_BYTES else TOO_LARGE

    return attach


def _refuse(error: OSError) -> None:
    raise error
