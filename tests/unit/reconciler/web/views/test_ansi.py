from __future__ import annotations

import pytest

from reconciler.web.views.ansi import StyledText, spans, without_controls


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("plain <b>", [StyledText("plain <b>")], id="markup is text"),
        pytest.param("\x1b[31mred\x1b[0m then", [StyledText("red", "ansi-red"), StyledText(" then")], id="a colour"),
        pytest.param(
            "\x1b[1;32mok\x1b[22m on", [StyledText("ok", "ansi-green bold"), StyledText(" on", "ansi-green")], id="bold"
        ),
        pytest.param(
            "\x1b[38;5;9ma\x1b[38;2;1;2;3mb\x1b[91mc",
            [StyledText("a"), StyledText("b"), StyledText("c", "ansi-red")],
            id="many",
        ),
        pytest.param("10 %\r50 %\rdone\r", [StyledText("done")], id="overwritten"),
        pytest.param(
            "a\x1b[2Jb\x1b]0;title\x07c\x1b]8;;http://evil\x1b\\d",
            [StyledText("a"), StyledText("b"), StyledText("c"), StyledText("d")],
            id="controls",
        ),
        pytest.param("open \x1b]0;never closed", [StyledText("open ")], id="a title without an end"),
        pytest.param(
            "a\u202eb\x00c\td", [StyledText("a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\td")], id="hidden"
        ),
        pytest.param("\x1b[99999999999999999999m\x1b[;;mx\x1b", [StyledText("x")], id="nonsense"),
        pytest.param("", [], id="empty"),
    ],
)
def test_colours_stay_and_everything_else_that_a_terminal_obeys_goes(line: str, expected: list[StyledText]) -> None:
    assert spans(line) == expected


def test_a_search_sees_neither_colours_nor_titles_and_keeps_the_lines() -> None:
    assert without_controls("\x1b[31ma\x1b[0mb\n\x1b]0;never closed\nc\x1b[2J") == "ab\n\nc"
