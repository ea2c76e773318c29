import errno
import os

import pytest

from reconciler.core.phases import Phase
from reconciler.masking.masker import Masker
from reconciler.runner.processes.log import RunLog

LIMIT = 4000


def written(path, feed, masker=None, limit=LIMIT):
    log = RunLog(path, limit, masker or Masker([]))
    feed(log)
    log.close()
    return path.read_bytes()


def test_a_short_log_is_kept_as_it_is(tmp_path):
    assert written(tmp_path / "log", lambda log: log.feed(b"one\ntwo")) == b"one\ntwo"


def test_own_lines_begin_on_a_line_of_their_own(tmp_path):
    def feed(log):
        log.say(Phase.INIT, "first")
        log.feed(b"no end of line")
        log.say(Phase.PLAN, "two\nlines")

    assert written(tmp_path / "log", feed) == b"station[init]: first\nno end of line\nstation[plan]: two lines\n"


@pytest.mark.parametrize("size", [1, 10, 333, 64 * 1024])
def test_a_long_log_keeps_head_and_end_and_says_what_is_missing(tmp_path, size):
    data = b"".join(b"line %06d\n" % number for number in range(20_000))

    def feed(log):
        for at in range(0, len(data), size):
            log.feed(data[at : at + size])

    result = written(tmp_path / "log", feed)
    head, _, rest = result.partition(b"\nstation: ")
    count, _, tail = rest.partition(b" bytes omitted here\n")
    assert data.startswith(head)
    assert data.endswith(tail)
    assert len(head) + int(count) + len(tail) == len(data)
    assert len(head) == LIMIT * 3 // 4
    assert 1000 <= len(tail) <= 1000 + 64 * 1024


@pytest.mark.parametrize("size", [1, 5, 9, 70])
def test_nothing_secret_is_left_at_the_edges_of_a_cut(tmp_path, size):
    data = b"SECRET" * 20_000

    def feed(log):
        for at in range(0, len(data), size):
            log.feed(data[at : at + size])

    result = written(tmp_path / "log", feed, Masker(["SECRET"]))
    assert not set(result.partition(b"\nstation: ")[2].partition(b" here\n")[2]) - set(b"*")
    assert b"SE" not in result
    assert b"ET" not in result


def test_a_second_leg_goes_on_in_the_same_file(tmp_path):
    written(tmp_path / "log", lambda log: log.feed(b"plan\n"))
    assert written(tmp_path / "log", lambda log: log.feed(b"apply\n")) == b"plan\napply\n"


def test_a_full_disk_is_remembered_and_does_not_raise(tmp_path, monkeypatch):
    log = RunLog(tmp_path / "log", LIMIT, Masker([]))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    log.feed(b"something")
    log.feed(b"more")
    log.close()
    assert log.broken == "No space left on device"


def test_a_link_in_place_of_the_log_is_not_followed(tmp_path):
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        RunLog(tmp_path / "log", LIMIT, Masker([]))
    assert not (tmp_path / "elsewhere").exists()
