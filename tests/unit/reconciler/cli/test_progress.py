"""What is shown while runs are at work."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from reconciler.cli.progress import Progress
from reconciler.core.runs import RunStatus
from tests.factories import a_run


def test_a_line_stays_one_line_where_nobody_looks_on() -> None:
    out = StringIO()
    message = f"the before.plan hook sh {'x' * 200}/check.sh [red]ended with exit code 1"
    run = a_run("platform/network", status=RunStatus.FAILED, reason="HookFailed", message=message)
    Progress(Console(file=out, highlight=False)).show(run)
    assert out.getvalue() == f"  {'platform/network':32} {'failed':12} HookFailed: {message}\n"
