"""Errors as a person sees them: one line on standard error, never a traceback."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click

_EXPECTED = frozenset(
    {
        ("reconciler.settings", "SettingsError"),
        ("reconciler.store.protocol", "StoreError"),
        ("reconciler.operations", "OperationRefused"),
        ("reconciler.engine.preparing", "WritableRefused"),
        ("reconciler.web.server", "ListenError"),
        ("reconciler.git.errors", "GitError"),
        ("reconciler.bootstrap", "DataDirectoryBusy"),
        ("reconciler.engine.local", "SandboxUnavailable"),
        ("reconciler.loop.desired.repositories", "CannotFollow"),
    }
)
"""Errors whose message is written for persons. By name: to import their modules here would slow every command down."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class CliError(Exception):
    """The command cannot do what was asked; the message is one line."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def explain(error: BaseException) -> int:
    """Say what went wrong, and give the exit code."""
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
            # Nobody reads on; the interpreter would complain once more when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            _say(f"{place}{error.strerror or error}")
        case _ if any((kind.__module__, kind.__name__) in _EXPECTED for kind in type(error).__mro__):
            _say(str(error))
        case _:
            _say(f"this is a bug in station ({type(error).__name__}); details are in {_write_down(error)}")
    return 1


def _say(message: str) -> None:
    line = " ".join(_CONTROL.sub(" ", message).split())
    click.echo(f"error: {line}", err=True)


def _write_down(error: BaseException) -> str:
    """Keep the traceback in a file that only its owner reads; where that fails too, say so."""
    # As seldom needed as they are slow to import.
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
    return "no file, because none could be written: run it again with STATION_DEBUG=1"
