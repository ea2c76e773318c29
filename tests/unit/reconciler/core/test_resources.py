"""The resources of a tool that names what it changes."""

from __future__ import annotations

import pytest

from reconciler.core.resources import resources_after
from reconciler.core.results import Action, Resource, ResourceChange

ONE, TWO = Resource("one", "t", "p", {"a": 1}), Resource("two", "t", "p")


def _change(address, action, after=None, **other):
    return ResourceChange(address, "t", "p", action, None, after, **other)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param([], [ONE, TWO], id="nothing"),
        pytest.param([_change("three", Action.CREATE, {"b": 2})], [ONE, TWO, Resource("three", "t", "p", {"b": 2})]),
        pytest.param(
            [_change("one", Action.UPDATE, {"a": 2})], [Resource("one", "t", "p", {"a": 2}), TWO], id="update"
        ),
        pytest.param([_change("one", Action.REPLACE)], [ONE, TWO], id="nothing said of it"),
        pytest.param([_change("two", Action.UPDATE, "on")], [ONE, Resource("two", "t", "p", {"value": "on"})]),
        pytest.param([_change("one", Action.DELETE), _change("two", Action.FORGET)], [], id="gone"),
        pytest.param([_change("none", Action.DELETE), _change("data", Action.READ, {})], [ONE, TWO], id="no resource"),
        pytest.param(
            [_change("new", Action.MOVE, moved_from="one")], [TWO, Resource("new", "t", "p", {"a": 1})], id="moved"
        ),
    ],
)
def test_changes_are_made_to_what_is_known(changes, expected):
    assert list(resources_after([ONE, TWO], changes)) == expected
