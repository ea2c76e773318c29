"""Errors as a person sees them: one line on standard error, never a traceback.

`main` passes every exception to `explain`, which prints the line and returns the exit code. Text from documents, tools
or servers cannot control the terminal through it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click

_EXPECTED = frozenset(
    {
        ("reconciler.setting_sources", "SettingsError"),
        ("reconciler.store.stored", "StoreError"),
        ("reconciler.refusals", "OperationRefused"),
        ("reconciler.engine.preparing", "WritableRefused"),
        ("reconciler.web.server", "ListenError"),
        ("reconciler.git.errors", "GitError"),
        ("reconciler.data_directory", "DataDirectoryBusy"),
        ("reconciler.engine.local", "SandboxUnavailable"),
        ("reconciler.loop.desired.repositories", "CannotFollow"),
    }
)
"""Errors whose message is written for people. By name, because importing them is slow."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class CliError(Exception):
    """The command failed; the message is one line for a person."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def explain(error: BaseException) -> int:
    """Print what went wrong and return the exit code."""
    if os.environ.get("STATION_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    match error:
        case CliError():
            _say(str(error))
            return error.code
        case click.exceptions.Exit():
            return error.exit_code
        case click.UsageError():
            where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
            _say(f"{error.format_message().rstrip('.')}{where}")
        case click.ClickException():
            _say(error.format_message())
        case click.Abort() | KeyboardInterrupt():
            return 130
        case BrokenPipeError():
            # The reader is gone; without this Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            _say(f"{place}{error.strerror or error}")
        case _ if any((kind.__module__, kind.__name__) in _EXPECTED for kind in type(error).__mro__):
            _say(str(error))
        case _:
            _say(f"this is a bug in station ({type(error).__name__}); the details are in {_write_down(error)}")
    return 1


def _say(message: str) -> None:
    line = " ".join(_CONTROL.sub(" ", message).split())
    click.echo(f"error: {line}", err=True)


def _write_down(error: BaseException) -> str:
    """Write the traceback to a file that only its owner may read; return the name, or words that say it failed."""
    # Rarely needed, and slow to import.
    import tempfile
    import traceback

    state = Path(os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()) / "stationkeeper"
    for directory in (state, Path(tempfile.gettempdir())):
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix="error-", suffix=".txt", dir=directory)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.writelines(traceback.format_exception(error))
        except (OSError, RuntimeError):
            continue
        return name
    return "no file, because none could be written: run the command again with STATION_DEBUG=1"
