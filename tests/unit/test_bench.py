"""The benchmarks' own parts: when a limit counts as missed, and that their repositories are the same every time."""

import pytest

from bench.harness import Figure, Limit, alternate
from bench.repositories import files, stack
from spaces.validate import validate_files


@pytest.mark.parametrize(
    ("figure", "over"),
    [
        pytest.param(Figure("f", 4, "s", 1, "", 4), False, id="ratio-kept"),
        pytest.param(Figure("f", 4.1, "s", 1, "", 4), True, id="ratio-missed"),
        pytest.param(Figure("f", 4, "s", None, "", 4), True, id="ratio-without-a-peer"),
        pytest.param(Figure("f", 5, "ms", 1, "", 5, Limit.AT_MOST), False, id="at-most-kept"),
        pytest.param(Figure("f", 6, "ms", 60, "", 5, Limit.AT_MOST), True, id="at-most-missed"),
        pytest.param(Figure("f", 25, "/s", None, "", 25, Limit.AT_LEAST), False, id="at-least-kept"),
        pytest.param(Figure("f", 24, "/s", None, "", 25, Limit.AT_LEAST), True, id="at-least-missed"),
        pytest.param(Figure("f", 99, "s", 1), False, id="to-be-read-only"),
    ],
)
def test_a_missed_limit_is_said_loudly(figure, over):
    assert figure.over is over
    assert ("OVER" in figure.line()) is over


def test_contenders_take_turns_and_the_first_round_does_not_count():
    turns = []

    def contender(name, seconds):
        def run():
            turns.append(name)
            return next(seconds)

        return run

    medians = alternate(3, contender("a", iter([99, 1, 2, 3])), contender("b", iter([99, 5, 4, 6])))
    assert medians == [2, 5]
    assert turns == ["a", "b"] * 4


@pytest.mark.parametrize("flat", [False, True])
def test_repositories_are_sound_and_always_the_same(flat):
    made = dict(files(150, flat=flat))
    assert made == dict(files(150, flat=flat))
    assert validate_files({path: data for path, data in made.items() if path.endswith(".yaml")}) == []
    assert stack(7, flat=flat).count(b"\n") == 26
