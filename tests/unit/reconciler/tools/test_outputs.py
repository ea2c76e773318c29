from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.results import Output
from reconciler.tools.base import StepFailed
from reconciler.tools.outputs import object_outputs


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({}, [], id="none"),
        pytest.param({"b": 1, "a": "x"}, [Output("a", "x"), Output("b", 1)], id="plain"),
        pytest.param({"a": {"value": "x", "sensitive": True}}, [Output("a", "x", sensitive=True)], id="sensitive"),
        pytest.param({"a": {"value": "x"}}, [Output("a", "x")], id="value only"),
        pytest.param(
            {"a": {"value": 1, "sensitive": "yes"}}, [Output("a", {"value": 1, "sensitive": "yes"})], id="an object"
        ),
        pytest.param({"a": {"value": 1, "x": 2}}, [Output("a", {"value": 1, "x": 2})], id="another object"),
    ],
)
def test_outputs_of_an_object(value: Any, expected: list[Output]) -> None:
    assert list(object_outputs(value, "it")) == expected


@pytest.mark.parametrize("value", [None, [], "x", 1], ids=str)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(StepFailed, match=r"^it must be one JSON object"):
        object_outputs(value, "it")
