"""`station api`: any request to the API, with the token and the address that the other commands use."""

from __future__ import annotations

import json
import sys
from typing import BinaryIO
from urllib.parse import parse_qs, urlsplit

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.errors import CliError

_METHODS = ("GET", "POST", "PUT", "DELETE")


@click.command("api", context_settings=options.CONTEXT)
@click.argument("method", type=click.Choice(_METHODS, case_sensitive=False), metavar="METHOD")
@click.argument("path")
@click.option("--input", "body", type=click.File("rb"), metavar="FILE", help="Send this file, or - for standard input.")
@options.common
def command(*, method: str, path: str, body: BinaryIO | None) -> None:
    """Send a request to the API, such as GET /stacks?limit=10, and print the answer.

    METHOD is GET, POST, PUT or DELETE. PATH begins below /api/v1; GET /openapi.json describes all paths. Exits 1 if the
    service refuses.
    """
    parts = urlsplit(path)
    if parts.scheme or parts.netloc or not parts.path.startswith("/"):
        raise CliError(f"{path} is not a path of the API: write one such as /stacks")
    sent = body.read() if body is not None else None
    with connect() as api:
        answer = api.ask(
            method, parts.path.removeprefix("/api/v1"), parse_qs(parts.query, keep_blank_values=True), sent
        )
    try:
        text = json.dumps(json.loads(answer), indent=2, ensure_ascii=False)
    except ValueError:
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()
    else:
        click.echo(text)
