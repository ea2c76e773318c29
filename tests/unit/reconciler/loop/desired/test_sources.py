from __future__ import annotations

import pytest

from reconciler.loop.desired.sources import SourceIndex
from spaces.effective.stack import ResolvedSource
from spaces.names import StackId

A, B, C = (StackId.parse(f"root/{name}") for name in "abc")


def source(path: str, *include: str) -> ResolvedSource:
    return ResolvedSource(None, None, path, include)


@pytest.fixture
def index() -> SourceIndex:
    made = SourceIndex()
    made.put(A, "here", source("live/a"), ["live/a", "modules/vpc"])
    made.put(B, "here", source("live/b", "shared/**"), ["live/b", "shared/x"])
    made.put(C, "there", source("."), ["."])
    return made


@pytest.mark.parametrize(
    ("repository", "changed", "users"),
    [
        pytest.param("here", [], set(), id="nothing"),
        pytest.param("here", ["live/a/main.tf"], {A}, id="a file of the path"),
        pytest.param("here", ["live/a/deep/er/x"], {A}, id="deep below it"),
        pytest.param("here", ["modules/vpc/main.tf"], {A}, id="a module"),
        pytest.param("here", ["modules/vpc2/main.tf"], set(), id="another that begins alike"),
        pytest.param("here", ["live"], set(), id="a directory above"),
        pytest.param("here", ["shared/new"], {B}, id="what a glob may find"),
        pytest.param("here", ["live/a/x", "shared/y", "z"], {A, B}, id="several"),
        pytest.param("there", ["anything"], {C}, id="the whole repository"),
        pytest.param("there", ["any/thing"], {C}, id="the whole repository, deeper"),
        pytest.param("elsewhere", ["live/a"], set(), id="another repository"),
    ],
)
def test_who_uses_a_changed_path(index: SourceIndex, repository: str, changed: list[str], users: set[StackId]) -> None:
    assert index.users(repository, changed) == users


def test_a_stack_that_moves_on_is_no_longer_a_user(index: SourceIndex) -> None:
    index.put(A, "there", source("live/a"), ["live/a"])
    assert index.users("here", ["live/a/x", "modules/vpc/x"]) == set()
    assert index.users("there", ["live/a/x"]) == {A, C}
    index.remove(A)
    index.remove(A)
    assert index.users("there", ["live/a/x"]) == {C}
