"""`station open`: the page in the browser."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import click

from reconciler.cli import options
from reconciler.cli.client import connect, service_url
from reconciler.cli.completing import stack_argument
from reconciler.cli.errors import CliError


@click.command("open", context_settings=options.CONTEXT)
@stack_argument(required=False)
@options.common
@click.pass_context
def command(ctx: click.Context, stack: str | None) -> None:
    """Open the page, or the page of STACK, in a browser, and print its address. Without a terminal, only print it."""
    with connect() as api:
        path = "/"
        if stack is not None:
            path = api.stack(stack)
            # Whether it is there is better said here than by the page.
            api.get(path)
        url = service_url()
        if url is None and not api.attended:
            raise CliError("no service is running on this data directory: start it with station serve")
    if url is None:
        settings = ctx.ensure_object(options.Common).settings()
        if not settings.host_and_port[1]:
            raise CliError("the service listens on a port that it chose itself: name its address with --url")
        url = settings.listen_url
    parts = urlsplit(url)
    # Without a name or password that may stand in the URL.
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/") + path
    click.echo(address)
    if sys.stdout.isatty():
        click.launch(address)
