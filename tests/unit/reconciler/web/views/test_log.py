from __future__ import annotations

from reconciler.web.views.log import WINDOW, LogView, added, window

LONG = b"".join(b"line %d\n" % number for number in range(1, 3001))


def numbers(view: LogView) -> tuple[int, int]:
    return view.first, view.last


def test_the_end_of_a_long_log_is_shown_and_the_lines_around_a_line() -> None:
    assert numbers(window(LONG, around=None, search="", ended=True)) == (3001 - WINDOW, 3000)
    assert numbers(window(LONG, around=1, search="", ended=True)) == (1, WINDOW)
    assert numbers(window(LONG, around=1500, search="", ended=True)) == (1001, 2000)
    assert numbers(window(LONG, around=99999, search="", ended=True)) == (3001 - WINDOW, 3000)
    assert numbers(window(b"", around=None, search="", ended=True)) == (0, 0)


def test_a_search_finds_lines_by_what_they_show() -> None:
    view = window(b"a \x1b[31mBad\x1b[0m end\nfine\nbad\n", around=None, search="bad end", ended=True)
    assert ([line.number for line in view.lines], view.found, view.total) == ([1], 1, 3)
    assert window(LONG, around=None, search="line", ended=True).found == 3000


def test_lines_that_come_later_follow_without_gap_or_repetition() -> None:
    whole = b"one\ntwo \xc3\xa4\nthr"
    first = window(whole[:6], around=None, search="", ended=False)
    assert (first.total, first.offset) == (1, 4)
    more = added(whole[first.offset :], first.total, first.offset, ended=False)
    assert ([line.number for line in more.lines], more.offset) == ([2], 11)
    last = added(whole[more.offset :], more.total, more.offset, ended=True)
    assert [(line.number, line.spans[0].text) for line in last.lines] == [(3, "thr")]


def test_what_the_service_says_itself_is_marked_and_an_endless_line_is_cut() -> None:
    view = window(b"station[plan]: $ tofu plan\n" + b"x" * 100_000, around=None, search="", ended=True)
    assert [line.phase for line in view.lines] == ["plan", None]
    assert len(view.lines[1].spans[0].text) < 5000
