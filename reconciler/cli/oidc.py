"""`station oidc …`: the documents by which clouds check the tokens of runs."""

from __future__ import annotations

import json

import click

from reconciler.cli import options
from reconciler.cli.client import connect


@click.group("oidc", context_settings=options.CONTEXT, invoke_without_command=True, no_args_is_help=False)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print the documents that clouds need to check run tokens, or replace the keys that sign them."""
    options.help_alone(ctx)


@command.command()
@options.common
def discovery() -> None:
    """Print the discovery document. Publish it as .well-known/openid-configuration below issuer_url."""
    _print("openid-configuration")


@command.command()
@options.common
def jwks() -> None:
    """Print the public keys. Publish them as .well-known/jwks below issuer_url.

    Keys rotate, so publish them again at least once a day. A key is listed three days before it signs.
    """
    _print("jwks")


@command.command()
@options.common
def rotate() -> None:
    """Replace the keys at once, because somebody else may have them. Tokens of active runs stop working.

    If clouds do not fetch the keys from this service, publish the new one (station oidc jwks). Only for the operator.
    """
    with connect() as api:
        key = api.post("/issuer/rotate")["key"]
    click.echo(f"key {key} signs from now on; the others are no longer published")


def _print(name: str) -> None:
    with connect() as api:
        click.echo(json.dumps(dict(api.published(name)), indent=2))
