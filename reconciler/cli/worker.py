"""`station worker`: does the runs of a worker pool on this machine, for a service elsewhere."""

from __future__ import annotations

import logging
import re
import signal
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from reconciler.cli import garbage, options
from reconciler.cli.client import service_url
from reconciler.cli.errors import CliError
from reconciler.cli.service_log import log_to_stderr
from reconciler.cli.service_token import check_token, find_token, is_loopback

if TYPE_CHECKING:
    from reconciler.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,126}[A-Za-z0-9])?")


@click.command("worker", context_settings=options.CONTEXT)
@click.option("--pool", metavar="SPACE/NAME", help="The worker pool whose runs to do.")
@click.option(
    "--leg-token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Do the one leg that the token in this file opens, and end. No pool and no other token is needed.",
)
@click.option("--name", metavar="NAME", help="The worker's name, the same each time. Default: the machine's.")
@click.option(
    "--places", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many runs to do at once."
)
@options.common
@click.pass_context
def command(
    ctx: click.Context, *, pool: str | None, leg_token_file: Path | None, name: str | None, places: int
) -> None:
    """Do the runs of a worker pool with the engine pull or celery on this machine. No port is opened.

    It calls the service, and with celery the broker that celery_broker_file names.

    With --leg-token-file it does one leg and ends. If that leg is already taken, it does nothing and exits with 0.

    The token needs the right pool:work in the pool's space. SIGTERM ends it once its runs have ended; after a second
    one, or a kill, the next worker on the same data directory resumes watching them. Of the settings, tool_paths,
    provider_cache, terraform_cli_config, writable_paths, require_sandbox and celery_broker_file count here, too.
    """
    from reconciler.data_directory import DataDirectoryBusy, alone_on, hidden_from_runs, make_data_dir
    from reconciler.engine.local import LocalEngine, SandboxUnavailable
    from reconciler.engine.placing import Machine
    from reconciler.worker.once import NoToken, OneLeg, hide_memory
    from reconciler.worker.service import Rejected, ServiceClient
    from reconciler.worker.worker import Worker

    common = ctx.ensure_object(options.Common)
    if (pool is None) == (leg_token_file is None):
        raise CliError("name either a --pool, whose runs to do, or a --leg-token-file")
    url, token = _url_and_token(common, leg_token_file)
    local = is_loopback(urlsplit(url).hostname or "")
    own = name or socket.gethostname()
    if not _NAME.fullmatch(own):
        raise CliError(f"{own!r} cannot be a worker's name: write --name with letters, digits and inner -_.")
    if pool is not None and pool.count("/") != 1:
        raise CliError(f"{pool} is not a pool: write space/name")
    settings = common.settings()
    garbage.as_usual()
    log_to_stderr()
    directory = make_data_dir(settings)
    shown = [path.absolute() for path in (common.token_file, leg_token_file) if path is not None]
    try:
        with alone_on(directory):
            engine = LocalEngine(
                directory,
                hidden=[*hidden_from_runs(settings), *shown],
                tool_path=settings.tool_path,
                writable=settings.writable_paths,
                require_sandbox=settings.require_sandbox is not False,
            )
            service, machine = ServiceClient(url, token, trust_env=not local), Machine.of(settings)
            try:
                if pool is None:
                    hide_memory()
                    leg = OneLeg(token, own, service, engine, machine)
                    _stop_by_signals(leg.stop, leg.stop)
                    leg.run()
                else:
                    worker = Worker(pool, own, places, service, engine, machine, _listening(settings))
                    _stop_by_signals(worker.drain, worker.stop)
                    logging.getLogger("reconciler").info("worker %s asks %s for runs of %s", own, url, pool)
                    worker.run()
            finally:
                engine.close()
                service.close()
    except DataDirectoryBusy:
        hint = "give each worker one of its own (STATION_DATA_DIR or --data-dir)"
        raise CliError(f"another station process uses {directory}: {hint}") from None
    except (SandboxUnavailable, Rejected, NoToken) as error:
        raise CliError(str(error)) from None


def _listening(settings: Settings) -> Any:
    """Return what begins to wait for messages, for a pool that has them."""
    from reconciler.engine.sender import CELERY_MISSING
    from reconciler.worker.service import Rejected
    from reconciler.worker.worker import no_messages

    file = settings.celery_broker_file
    if file is None:
        return no_messages

    def listen(pool: str, worker: str, receive: Callable[[Any], bool]) -> Any:
        if find_spec("celery") is None:
            raise Rejected(CELERY_MISSING)
        from reconciler.engine.celery_broker import BrokerRefused, broker_url
        from reconciler.worker.messages import Messages

        try:
            return Messages(broker_url(file), pool, worker, receive)
        except BrokerRefused as error:
            raise Rejected(str(error)) from None

    return listen


def _url_and_token(common: options.Common, leg_token_file: Path | None) -> tuple[str, str]:
    url = service_url()
    if url is not None and leg_token_file is not None:
        token: str | None = check_token(leg_token_file.read_text(encoding="utf-8", errors="replace").strip())
    else:
        token = None if url is None else find_token(common, url)
    if url is None or token is None:
        raise CliError("a worker needs --url (or STATION_URL) and --token-file (or STATION_TOKEN)")
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise CliError(f"{url} is not https: a worker gets the secrets of its runs, which everybody could read")
    return url, token


def _stop_by_signals(first: Callable[[], None], second: Callable[[], None]) -> None:
    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        (second if asked else first)()
        asked.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
