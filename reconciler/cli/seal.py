"""`station seal`: encrypts a secret for one place in the configuration."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.errors import CliError

if TYPE_CHECKING:
    from spaces.model.sealed import SealedPlace

_KINDS = ("Stack", "Context", "Repository", "Notifier")


@click.command("seal", context_settings=options.CONTEXT)
@click.option(
    "--space",
    metavar="SPACE",
    required=True,
    help="The space of the document that will hold the value: its name, or its whole path (platform/production).",
)
@click.option("--kind", type=click.Choice(_KINDS), required=True, help="The kind of that document.")
@click.option("--name", metavar="NAME", required=True, help="The name of that document.")
@click.option(
    "--key",
    metavar="KEY",
    required=True,
    help="Which value: a variable's name, a file's path, password, sshKey, url, secret, or a setting such as "
    "ansible.privateKey.",
)
@click.option("--recipient", metavar="AGE1…", help="The public key to encrypt to. Default: the service's own.")
@options.common
def command(*, space: str, kind: str, name: str, key: str, recipient: str | None) -> None:
    """Read a secret from standard input and print it sealed. Only the service can open it, and only in that place."""
    place = _place(space, kind, name, key)
    value = _read()
    from reconciler.credentials.sealing import CannotSeal, seal

    if recipient is None:
        recipient, path = _ask(space if "/" not in space and space != "root" else None)
        place = _place(path or space, kind, name, key)
    try:
        sealed = seal(value, place, recipient)
    except CannotSeal as error:
        raise CliError(str(error)) from None
    click.echo(sealed)


def _place(space: str, kind: str, name: str, key: str) -> SealedPlace:
    import re

    from spaces.model.base import NAME
    from spaces.model.sealed import SealedPlace
    from spaces.names import Kind

    # Whole paths may be written from the root on, too, as the one of a space right below it.
    space = space.removeprefix("root/")
    parts = [("--space", part) for part in space.split("/")]
    for option, text in (*parts, ("--name", name)):
        if not re.match(NAME, text):
            raise CliError(f"{option} {text}: a name has lower-case letters, digits and inner dashes")
    if not key.strip() or not key.isprintable():
        raise CliError("--key: write a variable's name, a file's path, or password or sshKey")
    return SealedPlace.of(Kind(kind), space, name, key)


def _read() -> str:
    from reconciler.credentials.secrets import SHORTEST

    if sys.stdin.isatty():
        click.echo("type the value, then Ctrl-D on a line of its own:", err=True)
    try:
        value = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise CliError("the value is not UTF-8 text: encode it as base64 first") from None
    if len(value.strip()) < SHORTEST:
        raise CliError(f"the value is too short to be masked in logs: use at least {SHORTEST} characters")
    if "\0" in value:
        raise CliError("the value contains a NUL character: remove it")
    return value


def _ask(space: str | None) -> tuple[str, str | None]:
    """Return the service's key, and the path of a space."""
    with connect() as api:
        try:
            found = api.get("/sealing", space=space)
        except CliError as error:
            if space is None or "no space" not in str(error):
                raise
            raise CliError(
                f"{error} in force: for a new one, write its whole path, as in root/PARENT/{space}"
            ) from None
    if space is not None and found["path"] is None:
        raise CliError(
            f"the service does not show you what {space} is below: write its whole path, as in --space PARENT/{space}"
        )
    return str(found["recipient"]), found["path"]
