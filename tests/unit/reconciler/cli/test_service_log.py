from __future__ import annotations

import logging

import click
import pytest

from reconciler.cli.service_log import OnTerminal


@pytest.mark.parametrize(
    ("level", "line"),
    [(logging.INFO, "listening"), (logging.WARNING, "warning: listening"), (logging.ERROR, "error: listening")],
)
@pytest.mark.parametrize("coloured", [True, False])
def test_a_line_on_a_terminal_has_the_time_and_what_happened(*, level: int, line: str, coloured: bool) -> None:
    record = logging.LogRecord("reconciler.loop", level, "x.py", 1, "listen%s", ("ing",), None)
    shown = OnTerminal(coloured=coloured).format(record)
    assert click.unstyle(shown).partition(" ")[2] == line
    assert (shown != click.unstyle(shown)) == (coloured and level > logging.INFO)
