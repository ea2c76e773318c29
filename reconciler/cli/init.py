"""`station init DIR`: a configuration repository to start from."""

from __future__ import annotations

import json
import re
import shlex
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from reconciler.cli.errors import CliError

_SCHEMAS = Path(".stationkeeper", "schemas")


@click.command("init")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--space", "space", default="platform", show_default=True, metavar="NAME", help="The name of the first space."
)
def command(directory: Path, space: str) -> None:
    """Create a new configuration repository in DIR, with a first commit on main."""
    from reconciler.git.authoring import commit_all
    from spaces.names import ROOT, is_name

    if not is_name(space) or space == ROOT:
        raise CliError(f"{space} cannot be a space's name: use lower-case letters, digits and inner dashes, not root")
    if directory.exists() and not directory.is_dir():
        raise CliError(f"{directory} is a file: name a new or empty directory")
    if directory.is_dir() and any(directory.iterdir()):
        raise CliError(f"{directory} is not empty: name a new or empty directory")
    directory.mkdir(parents=True, exist_ok=True)
    _copy(files("reconciler.cli") / "template", directory, space)
    _write_schemas(directory / _SCHEMAS)
    commit_all(directory, "Begin with the example of station init")
    click.echo(_next_steps(directory))


def _copy(source: Traversable, target: Path, space: str) -> None:
    for entry in source.iterdir():
        # The template has dot- for a leading dot, so that no tool takes its files for its own.
        name = re.sub(r"^dot-", ".", entry.name).replace("SPACE", space)
        if entry.is_dir():
            if entry.name != "__pycache__":
                (target / name).mkdir()
                _copy(entry, target / name, space)
        else:
            text = entry.read_text(encoding="utf-8").replace("@SPACE@", space)
            (target / name).write_text(text, encoding="utf-8")


def _write_schemas(directory: Path) -> None:
    from spaces.reading.json_schema import json_schemas

    directory.mkdir(parents=True)
    for name, schema in json_schemas().items():
        (directory / name).write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


def _next_steps(directory: Path) -> str:
    url = directory.absolute().as_uri()
    place = shlex.quote(str(directory))
    return f"""{directory} is a configuration repository with a first commit on main. Next:

  station validate {place}
  station reconcile --config-url {shlex.quote(url)}
  station stacks

Change something, commit, and run station reconcile again. Or let the service watch the repository:

  station serve --config-url {shlex.quote(url)}"""
