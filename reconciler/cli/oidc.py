"""`station oidc …`: the documents by which clouds check the tokens of runs."""

from __future__ import annotations

import json

import click

from reconciler.cli import options
from reconciler.cli.client import connect


@click.group("oidc", context_settings=options.CONTEXT)
def command() -> None:
    """Print the documents of the issuer of run tokens, or replace its keys."""


@command.command()
@options.common
def discovery() -> None:
    """Print the discovery document, to be published as .well-known/openid-configuration below issuer_url."""
    _print("openid-configuration")


@command.command()
@options.common
def jwks() -> None:
    """Print the public keys, to be published as .well-known/jwks below issuer_url.

    The keys change: publish them anew at least once a day. A key is listed three days before it signs.
    """
    _print("jwks")


@command.command()
@options.common
def rotate() -> None:
    """Replace the keys at once, because somebody else may have them. Tokens of runs at work are worth nothing then.

    Publish the new key (station oidc jwks) if the clouds do not fetch it from this service. Only the operator may.
    """
    with connect() as api:
        key = api.post("/issuer/rotate")["key"]
    click.echo(f"the key {key} signs from now on, and no other is published")


def _print(name: str) -> None:
    with connect() as api:
        click.echo(json.dumps(dict(api.published(name)), indent=2))
