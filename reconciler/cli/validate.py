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
    """Report all errors in the configuration at PATH. Default: this directory.

    This includes source paths that do not exist. If PATH is a file, only its own errors are reported, but the whole
    configuration is read, so that references to other files are checked. Outside a Git repository, a file is checked
    by itself.
    """
    # Everything that reads documents is slow to import.
    from reconciler.cli.sources import SourceCheck
    from reconciler.policies.checking import check_rego
    from reconciler.policies.documents import about_documents
    from spaces.diagnostics import in_order
    from spaces.rules.advice import advice
    from spaces.validate import examine_files, findings

    base, only, files = _read(path)
    examined = examine_files(files, attach_in(base), check_rego)
    # A file alone knows nobody.
    alone = path.is_file() and only is None
    about_others = () if alone else (*SourceCheck.of(base).check(examined), *advice(examined.documents))
    found = in_order((*findings(examined, files), *about_others, *about_documents(examined.documents)))
    diagnostics = [it.to_json() for it in found if only is None or (it.position and it.position.file == only)]
    errors = Counter(diagnostic["severity"] for diagnostic in diagnostics)["error"]
    if form in {"json", "yaml"}:
        print_data({"diagnostics": diagnostics}, form)
    else:
        directory = "" if base == Path() or only else f"{base}/"
        for diagnostic in diagnostics:
            click.echo(line({**diagnostic, "file": str(path)} if only else diagnostic, directory))
        documents = map(examined.documents.placed, examined.documents.refs())
        if not any(it and only in {None, it.resource.file} for it in documents) and not errors:
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


def _read(path: Path) -> tuple[Path, str | None, dict[str, bytes]]:
    """Return the directory of the configuration, the only file in it that is asked about (None: all), and its files."""
    if path.is_dir():
        return path, None, _files_below(path)
    if not path.is_file():
        raise CliError(f"there is no file or directory {path}")
    file = Path(os.path.abspath(path))  # noqa: PTH100 - a link that leads elsewhere is not followed
    base = _configuration_around(file)
    if base is None:
        return path.parent, None, {path.name: path.read_bytes()}
    return Path(os.path.relpath(base)), file.relative_to(base).as_posix(), _files_below(base)


def _configuration_around(file: Path) -> Path | None:
    """Return the directory of the configuration that a file belongs to; None where it is in no Git repository."""
    top = next((place for place in file.parents if (place / ".git").exists()), None)
    if top is None or not file.name.endswith(_SUFFIXES) or file.is_symlink():
        return None
    inside = [place for place in file.parents if place.is_relative_to(top)]
    # The highest place with spaces in it: the configuration may be one of several directories of its repository.
    return next((place for place in reversed(inside) if _has_spaces(place)), top)


def _has_spaces(place: Path) -> bool:
    from spaces.catalog import SPACE_FILES

    return any(found for name in SPACE_FILES for pattern in (name, f"*/{name}") for found in place.glob(pattern))


def _files_below(path: Path) -> dict[str, bytes]:
    """Return the files that the service would read in this directory; like the service, skip links."""
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
