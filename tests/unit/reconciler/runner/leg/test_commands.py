"""What is said of a command that failed: the tool's own line, and no command that nobody wrote."""

from __future__ import annotations

import pytest

from reconciler.runner.leg.commands import first_line
from reconciler.runner.processes.log import Hearing


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([b"a\nError: first\nError: second\n"], "Error: first", id="the first"),
        pytest.param([b"a\nErr", b"or: in pie", b"ces\nb\n"], "Error: in pieces", id="in pieces"),
        pytest.param([b"Error: the end"], "Error: the end", id="without an end of line"),
        pytest.param(["│ Error: boxed\n".encode()], "Error: boxed", id="in a box"),
        pytest.param([b"ERROR! no playbook\n"], "ERROR! no playbook", id="ansible's"),
        pytest.param([b"[ERROR]: no host\n"], "[ERROR]: no host", id="ansible's of today"),
        pytest.param(
            [b"[WARNING]: - x.y was NOT installed successfully: no\n[ERROR]: - you can use --ignore-errors\n"],
            "[WARNING]: - x.y was NOT installed successfully: no",
            id="ansible-galaxy's",
        ),
        pytest.param([b"error: no manifest\n"], "error: no manifest", id="kubectl's"),
        pytest.param(
            [b"Error from server (NotFound): no namespace\n"],
            "Error from server (NotFound): no namespace",
            id="an API's",
        ),
        pytest.param([b'The Job "it" is invalid: no\n'], 'The Job "it" is invalid: no', id="an object's"),
        pytest.param(
            [b"The connection to the server x was refused\n"], "The connection to the server x was refused", id="away"
        ),
        pytest.param(
            [
                b"  error: update failed\n    error: Traceback (most recent call last):\n      File x\n    my.OwnError: no\n"
            ],
            "my.OwnError: no",
            id="what a program of Pulumi's raised",
        ),
        pytest.param([b"no Error: here\n"], None, id="not at the start"),
        pytest.param([b"Error: \x1b[31mred\n"], "Error: [31mred", id="what cannot be printed"),
        pytest.param([b"Error: " + b"a" * 9999 + b"\n"], "Error: " + "a" * 192 + "…", id="long"),
        pytest.param([b"a" * 5000] * 9, None, id="no lines at all"),
    ],
)
def test_the_first_error_that_a_tool_prints_is_remembered(pieces: list[bytes], expected: str | None) -> None:
    hearing = Hearing()
    for piece in pieces:
        hearing.hear(piece)
    assert hearing.error == expected
    hearing.begin()
    assert hearing.error is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("make all\n", "make all", id="one line"),
        pytest.param("cd live\nmake all\n", "cd live…", id="several"),
        pytest.param("\n  cd live\n\nmake\n", "  cd live…", id="blank lines"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_of_several_lines_the_first_is_shown(text: str, expected: str) -> None:
    assert first_line(text) == expected
