"""The resources of a tool that names what it changes."""

from __future__ import annotations

import pytest

from reconciler.core.resources import identity, resources_after
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


@pytest.mark.parametrize(
    ("provider", "attributes", "known"),
    [
        ("hashicorp/aws", {"id": "b", "arn": "arn:aws:s3:::b"}, "arn:aws:s3:::b"),
        ("hashicorp/aws", {"id": "arn:aws:sns:eu:1:t"}, "arn:aws:sns:eu:1:t"),
        ("hashicorp/aws", {"id": "vpc-1", "arn": None}, "hashicorp/aws t vpc-1"),
        ("hashicorp/aws", {"id": "(sensitive)"}, None),
        ("hashicorp/aws", {"id": 7}, None),
        ("hashicorp/aws", {}, None),
        ("hashicorp/random", {"id": "none"}, None),
        ("terraform.io/builtin/terraform", {"id": "0e1f"}, None),
    ],
)
def test_a_resource_is_known_by_what_its_provider_calls_it(provider, attributes, known):
    assert identity(Resource("t.x", "t", provider, attributes)) == known
