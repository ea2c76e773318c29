"""`station login` and `station logout`: keep a token for later commands, or forget it."""

from __future__ import annotations

import socket
import sys
import time
from urllib.parse import urlsplit

import click

from reconciler.cli import options
from reconciler.cli.client import connect_as, service_url
from reconciler.cli.errors import CliError
from reconciler.cli.kept_tokens import keep_token, kept_token


@click.command("login", context_settings=options.CONTEXT)
@click.argument("address", metavar="[URL]", required=False)
@click.option(
    "--browser/--token",
    "browser",
    default=None,
    help="Confirm a code in a browser (default in a terminal), or give a token.",
)
@options.common
def command(address: str | None, *, browser: bool | None) -> None:
    """Keep a token for the service at URL, so that later commands use it. Default: the service of STATION_URL.

    In a terminal it prints a code that you confirm on the page. Otherwise the token is read from standard input. An
    admin makes one with station token create user:NAME.
    """
    service = _service(address)
    terminal = sys.stdin.isatty()
    if browser or (browser is None and terminal):
        token = _confirmed(service)
    elif terminal:
        token = click.prompt("Token", hide_input=True, err=True).strip()
    else:
        token = sys.stdin.readline().strip()
    with connect_as(service, token) as api:
        me = api.get("/me")
    path = keep_token(service, token)
    until = f" until {me['until']}" if me["until"] else ""
    click.echo(f"signed in as {me['person']}{until}; the token is in {path}")
    if service_url() != service:
        click.echo(f"to use this service: export STATION_URL={service}")


@click.command("logout", context_settings=options.CONTEXT)
@click.argument("address", metavar="[URL]", required=False)
@options.common
def logout(address: str | None) -> None:
    """Forget the token that station login kept for the service. The token stays valid until it is revoked."""
    service = _service(address)
    if kept_token(service) is None:
        raise CliError(f"no token is kept for {service}")
    keep_token(service, None)
    click.echo(f"the token for {service} is forgotten; station token revoke makes it invalid")


def _confirmed(service: str) -> str:
    """Return a token that somebody has confirmed in their browser."""
    with connect_as(service, None) as api:
        asked = api.post("/login", {"client": f"station on {socket.gethostname()}"[:100]})
        parts = urlsplit(service)
        page = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/") + asked["path"]
        click.echo(f"Open {page} and confirm the code {asked['code']}", err=True)
        if sys.stdout.isatty():
            click.launch(page)
        made = None
        while made is None:
            time.sleep(asked["interval"])
            made = api.post_unless("/login/token", {"secret": asked["secret"]}, pending="LoginPending")
    return str(made["token"])


def _service(address: str | None) -> str:
    service = address or service_url()
    if service is None:
        raise CliError("name the service: station login URL")
    return service
