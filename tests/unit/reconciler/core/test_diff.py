from __future__ import annotations

import pytest

from reconciler.core.diff import explain
from reconciler.core.state import Fingerprint
from tests.factories import a_fingerprint


def said(new: dict[str, dict[str, str]], old: dict[str, dict[str, str]], count: int | None = None) -> list[str]:
    reasons = explain(a_fingerprint(**new), a_fingerprint(**old), lambda _old, _new: count)
    return [f"{why.component}: {why.summary}" for why in reasons]


@pytest.mark.parametrize(
    ("new", "old", "count", "expected"),
    [
        pytest.param({"spec": {"a": "1"}}, {"spec": {"a": "1"}}, None, [], id="equal"),
        pytest.param({"spec": {"a": "1"}}, {"spec": {"a": "2"}}, None, ["spec: a"], id="a value"),
        pytest.param({"spec": {"a": "1", "b": "1"}}, {"spec": {"a": "1"}}, None, ["spec: b added"], id="added"),
        pytest.param({"spec": {"a": "1"}}, {"spec": {"a": "1", "b": "1"}}, None, ["spec: b removed"], id="removed"),
        pytest.param(
            {"spec": dict.fromkeys("abcdef", "1")},
            {"spec": {}},
            None,
            ["spec: a added, b added, c added, 3 more"],
            id="many",
        ),
        pytest.param(
            {"spec": dict.fromkeys("abcd", "1")},
            {"spec": {}},
            None,
            ["spec: a added, b added, c added, d added"],
            id="as many as it takes to say so",
        ),
        pytest.param(
            {"source": {"modules/vpc": "1"}},
            {"source": {"modules/vpc": "2"}},
            2,
            ["source: 2 files under modules/vpc"],
            id="files",
        ),
        pytest.param({"source": {"x": "1"}}, {"source": {"x": "2"}}, 1, ["source: 1 file under x"], id="one file"),
        pytest.param({"source": {"x": "1"}}, {"source": {"x": "2"}}, None, ["source: x changed"], id="not countable"),
        pytest.param(
            {"source": {"": "1"}}, {"source": {"": "2"}}, 1, ["source: 1 file under the repository's root"], id="root"
        ),
        pytest.param(
            {"source": {"x": "1"}},
            {"source": {"y": "1"}},
            None,
            ["source: x added", "source: y no longer used"],
            id="other paths",
        ),
        pytest.param(
            {"contexts": {"root/common env LOG": "1", "root/common file a": "1", "web/x env B": "2"}},
            {"contexts": {"root/common env LOG": "2", "web/x env B": "1", "web/x env C": "1"}},
            None,
            ["contexts: context root/common: env LOG, file a added", "contexts: context web/x: env B, env C removed"],
            id="contexts by document",
        ),
        pytest.param(
            {"tool": {"name": "opentofu", "version": ""}},
            {"tool": {"name": "terraform", "version": ">=1"}},
            None,
            ["tool: tool name: terraform -> opentofu", "tool: tool version: >=1 -> any"],
            id="tool",
        ),
        pytest.param(
            {"spec": {"a": "1"}, "source": {"x": "1"}},
            {"spec": {"a": "2"}},
            None,
            ["spec: a", "source: x added"],
            id="several components, in their order",
        ),
        pytest.param(
            {"spec": {}},
            {"spec": {}, "contexts": {"root/c env A": "1"}},
            None,
            ["contexts: context root/c no longer used"],
            id="a component that is gone",
        ),
    ],
)
def test_a_difference_in_words(
    new: dict[str, dict[str, str]], old: dict[str, dict[str, str]], count: int | None, expected: list[str]
) -> None:
    assert said(new, old, count) == expected


def test_a_new_stack_is_just_new() -> None:
    assert [why.summary for why in explain(a_fingerprint(), None, lambda _old, _new: None)] == ["new stack"]


@pytest.mark.parametrize(
    "component", ["spec", "source", "contexts", "dependencies", "policies", "integrations", "blueprint", "tool"]
)
def test_whatever_changes_the_digest_is_explained(component: str) -> None:
    one, other = a_fingerprint(**{component: {"x y": "1"}}), a_fingerprint(**{component: {"x y": "2"}})
    assert one.digest != other.digest
    assert [why.component for why in explain(one, other, lambda _old, _new: None)] == [component]


def test_the_digest_knows_no_order() -> None:
    one = a_fingerprint(spec={"a": "1", "b": "2"}, tool={"name": "x"})
    other = a_fingerprint(tool={"name": "x"}, spec={"b": "2", "a": "1"})
    assert one.digest == other.digest
    assert isinstance(one, Fingerprint)
