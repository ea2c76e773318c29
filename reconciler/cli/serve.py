"""`station serve`: the service."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from types import FrameType
from typing import Any

import click

from reconciler.cli import garbage, options
from reconciler.cli.errors import CliError
from reconciler.cli.service_log import log_to_stderr
from reconciler.cli.service_options import service_options


@click.command("serve", context_settings=options.CONTEXT)
@options.common
@service_options
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> None:
    """Run the service: watch the configuration repository, reconcile, and serve the page, the API and metrics.

    SIGTERM or Ctrl-C stops it. Active runs continue, and the next service resumes watching them. With drain_timeout it
    waits for them first, until a second signal.
    """
    from reconciler.bootstrap import open_service

    garbage.as_usual()
    settings = ctx.ensure_object(options.Common).settings(**flags)
    log_to_stderr()
    log = logging.getLogger("reconciler")
    with open_service(settings) as service:
        if not service.engine.sandboxed:
            log.warning("runs are NOT sandboxed: %s", service.engine.sandbox_problem)
        # First: whoever asks about a run that is not known yet is told that it has ended, and stops its tool.
        service.loop.recover()
        url = service.server.url()
        log.info("listening on %s; the operator's token is in %s", url, settings.data_dir / "token")
        if sys.stderr.isatty():
            # Never into a file or a journal: whoever reads it in time could sign in.
            code = service.ports.codes.make(service.ports.now())
            click.echo(
                f"The page is at {url}. Sign in as operator, once and within 15 minutes: {url}/sign-in?code={code}",
                err=True,
            )
        stopping = threading.Event()
        worker = threading.Thread(target=service.loop.run, name="loop")

        def stop(_number: int, _frame: FrameType | None) -> None:
            if settings.drain_timeout and not stopping.is_set():
                stopping.set()
                log.info("stopping once the active runs have ended; a second signal leaves them to the next service")
                service.loop.drain(settings.drain_timeout)
            else:
                service.loop.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        worker.start()
        try:
            while worker.is_alive():
                worker.join(0.5)
        finally:
            service.loop.stop()
            worker.join()
            service.loop.dispatcher.close()
            service.server.stop()
            log.info("stopped; active runs continue")
        if service.loop.leadership.outdated is not None:
            raise CliError(service.loop.leadership.outdated)
