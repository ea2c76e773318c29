"""`station worker`: does the runs of a worker pool on this machine, for a service elsewhere."""

from __future__ import annotations

import logging
import re
import signal
import socket
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import click

from reconciler.cli import garbage, options
from reconciler.cli.client import service_url
from reconciler.cli.errors import CliError
from reconciler.cli.service_log import log_to_stderr
from reconciler.cli.service_token import find_token, is_loopback

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,126}[A-Za-z0-9])?")


@click.command("worker", context_settings=options.CONTEXT)
@click.option("--pool", required=True, metavar="SPACE/NAME", help="The worker pool whose runs to do.")
@click.option("--name", metavar="NAME", help="The worker's name, the same each time. Default: the machine's.")
@click.option(
    "--places", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many runs to do at once."
)
@options.common
@click.pass_context
def command(ctx: click.Context, *, pool: str, name: str | None, places: int) -> None:
    """Do the runs of a worker pool with the engine pull on this machine. It only calls the service: no port is opened.

    The token needs the right pool:work in the pool's space. SIGTERM ends it once its runs have ended; after a second
    one, or a kill, the next worker on the same data directory resumes watching them. Of the settings, tool_paths,
    provider_cache, terraform_cli_config, writable_paths and require_sandbox count here, too.
    """
    from reconciler.data_directory import DataDirectoryBusy, alone_on, hidden_from_runs, make_data_dir
    from reconciler.engine.local import LocalEngine, SandboxUnavailable
    from reconciler.engine.placing import Machine
    from reconciler.worker.service import Rejected, Service
    from reconciler.worker.worker import Worker

    common = ctx.ensure_object(options.Common)
    url = service_url()
    token = None if url is None else find_token(common, url)
    if url is None or token is None:
        raise CliError("a worker needs --url (or STATION_URL) and --token-file (or STATION_TOKEN)")
    parts = urlsplit(url)
    local = is_loopback(parts.hostname or "")
    if parts.scheme != "https" and not local:
        raise CliError(f"{url} is not https: a worker gets the secrets of its runs, which everybody could read")
    own = name or socket.gethostname()
    if not _NAME.fullmatch(own):
        raise CliError(f"{own!r} cannot be a worker's name: write --name with letters, digits and inner -_.")
    if pool.count("/") != 1:
        raise CliError(f"{pool} is not a pool: write space/name")
    settings = common.settings()
    garbage.as_usual()
    log_to_stderr()
    directory = make_data_dir(settings)
    hidden = [*hidden_from_runs(settings), *([] if common.token_file is None else [common.token_file.absolute()])]
    try:
        with alone_on(directory):
            engine = LocalEngine(
                directory,
                hidden=hidden,
                tool_path=settings.tool_path,
                writable=settings.writable_paths,
                require_sandbox=settings.require_sandbox is not False,
            )
            service = Service(url, token, trust_env=not local)
            worker = Worker(pool, own, places, service, engine, Machine.of(settings))
            _stop_by_signals(worker)
            logging.getLogger("reconciler").info("worker %s asks %s for runs of %s", own, parts.netloc, pool)
            try:
                worker.run()
            finally:
                engine.close()
                service.close()
    except (DataDirectoryBusy, SandboxUnavailable, Rejected) as error:
        raise CliError(str(error)) from None


def _stop_by_signals(worker: Any) -> None:
    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if asked:
            worker.stop()
        else:
            worker.drain()
        asked.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
