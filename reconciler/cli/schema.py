"""`station schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from reconciler.cli.errors import CliError


@click.command("schema")
@click.argument("kind", required=False)
@click.option(
    "--write",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write all schemas to this directory.",
)
def command(kind: str | None, directory: Path | None) -> None:
    """Print the JSON Schema of all documents, or of one KIND."""
    from spaces.reading.json_schema import COMBINED, json_schemas

    schemas = json_schemas()
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        for name, schema in schemas.items():
            (directory / name).write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")
        click.echo(f"{len(schemas)} schemas written to {directory}")
        return
    name = COMBINED if kind is None else f"{kind.lower()}.schema.json"
    if name not in schemas:
        known = ", ".join(schema.get("title", "") for other, schema in schemas.items() if other != COMBINED)
        raise CliError(f"there is no kind {kind}: the kinds are {known}")
    click.echo(json.dumps(schemas[name], indent=2))
