from __future__ import annotations

import pytest

from spaces.model.versions import version_range


@pytest.mark.parametrize(
    ("text", "within", "beyond"),
    [
        pytest.param(">=1.8,<2", ["1.8", "1.11.4", "1.12.0b1"], ["1.7.9", "2.0.0", "2.0.0rc1"], id="range"),
        pytest.param(">= 1.8, < 2", ["1.8", "1.11.4"], ["1.7.9", "2.0.0"], id="with blanks"),
        pytest.param(">=1.8 <2", ["1.8", "1.11.4"], ["1.7.9", "2.0.0"], id="without a comma"),
        pytest.param("~> 1.9", ["1.9", "1.9.8", "1.12.0"], ["1.8.9", "2.0.0"], id="pessimistic"),
        pytest.param("~>1.9.3", ["1.9.3", "1.9.12"], ["1.9.2", "1.10.0"], id="pessimistic patch"),
        pytest.param("~> 1", ["1.0.0", "1.99"], ["0.9", "2.0"], id="pessimistic major"),
        pytest.param("~> 1.9, != 1.9.4", ["1.9.5"], ["1.9.4"], id="but one"),
        pytest.param("1.9.8", ["1.9.8"], ["1.9.7", "1.9.9", "1.10.0"], id="a version"),
        pytest.param("v1.9.8", ["1.9.8"], ["1.9.7"], id="with a v"),
        pytest.param("= 1.9.8", ["1.9.8"], ["1.9.7"], id="equals"),
        pytest.param("1.9", ["1.9", "1.9.8"], ["1.10.0", "1.8"], id="the beginning of one"),
        pytest.param("1.9.x", ["1.9.8"], ["1.10.0"], id="with an x"),
        pytest.param("==1.9.*", ["1.9.8"], ["1.10.0"], id="python's prefix"),
        pytest.param("~=1.9.2", ["1.9.8"], ["1.10.0", "1.9.1"], id="python's compatible"),
        pytest.param("1.12.0-beta1", ["1.12.0b1"], ["1.12.0"], id="a beta"),
    ],
)
def test_what_people_write(text: str, within: list[str], beyond: list[str]) -> None:
    wanted = version_range(text)
    assert [each for each in (*within, *beyond) if wanted.contains(each, prereleases=True)] == within


@pytest.mark.parametrize(
    "text", ["", " ", "latest", "^1.9", "1.9 or 2", ">=", "~> x", "~> 1.x", ">=1,,<2", ", 1", "=>1"]
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ValueError, match="no range of versions"):
        version_range(text)
