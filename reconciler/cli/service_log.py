"""How the service writes its log: for machines as it is, on a terminal in short lines with colours."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

_PRINTED = ("loop.desired.source_repositories", "loop.desired.telling", "loop.desired.fetch", "runs.audit")
"""Who logs what a single pass prints at its end, or while it goes on."""
_COLOURS = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}
_NOISY = ("httpx", "alembic", "uvicorn.error", "casbin")


class OnTerminal(logging.Formatter):
    """The time of day and the message; a level that is worse than usual in front of it, in its colour."""

    def __init__(self, *, coloured: bool) -> None:
        super().__init__("%(asctime)s %(message)s", "%H:%M:%S")
        self._coloured = coloured

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the line of a record."""
        colour = _COLOURS.get(record.levelno)
        if colour is None:
            return super().formatMessage(record)
        level = f"{record.levelname.lower()}:"
        return f"{record.asctime} {click.style(level, fg=colour) if self._coloured else level} {record.message}"


@contextmanager
def said_once() -> Iterator[None]:
    """Keep out of the log what the command prints itself."""
    loggers = [logging.getLogger(f"reconciler.{name}") for name in _PRINTED]
    for log in loggers:
        log.addFilter(_nothing)
    try:
        yield
    finally:
        for log in loggers:
            log.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    _ = record
    return False


def log_to_stderr() -> None:
    """Log to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    if sys.stderr.isatty():
        handler.setFormatter(OnTerminal(coloured="NO_COLOR" not in os.environ))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
