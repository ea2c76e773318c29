from __future__ import annotations

import pytest

from spaces.model.semver import newest, semver_range

TAGS = [
    "v1.4",
    "v1.10.0",
    "1.2.3",
    "v2.0.0-rc.1",
    "v1.5.0-rc.1",
    "v2",
    "release-3",
    "03.1.1",
    "v1.10.0-9",
    "3.0.0-beta",
]


@pytest.mark.parametrize(
    ("wanted", "tag"),
    [
        pytest.param(">=1.4 <2", "v1.10.0", id="by number, not by letter"),
        pytest.param(">=1.4, <1.9", "v1.4", id="with a comma; a tag of two numbers"),
        pytest.param("^1.2", "v1.10.0", id="caret"),
        pytest.param("~1.4", "v1.4", id="tilde"),
        pytest.param("1.2.x || 9", "1.2.3", id="or; a tag without v"),
        pytest.param("2", "v2", id="a tag of one number is a release"),
        pytest.param(">=3", None, id="what comes before a release does not count"),
        pytest.param(">=3.0.0-alpha", "3.0.0-beta", id="unless the range names one"),
        pytest.param(">=2.0.0-rc.1 <2.0.0", "v2.0.0-rc.1", id="of the same release"),
        pytest.param(">=1.5.0-rc.1 <1.6", "v1.5.0-rc.1", id="and not one of another"),
    ],
)
def test_the_newest_version_in_a_range(wanted: str, tag: str | None) -> None:
    assert newest(TAGS, wanted) == tag
    assert newest(reversed(TAGS), wanted) == tag


@pytest.mark.parametrize("text", ["", "latest", ">>1", "1.2.3 x y", "1 ||", "^", "1..2", "1" * 300])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ValueError, match="is no range of versions"):
        semver_range(text)
