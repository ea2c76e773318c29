from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.digest import SourceSnapshot, fingerprint, options, short_hash
from reconciler.core.state import Component, Fingerprint
from spaces.effective.stack import effective
from spaces.names import Revision
from tests.unit.spaces.builders import begin, context, many, repository, space, stack, stack_id

SNAPSHOT = SourceSnapshot(Revision("r1"), {".": "aaaa"})


def marks(
    *contexts: Any, snapshot: SourceSnapshot | None = SNAPSHOT, tree: dict[str, bytes] | None = None, **spec: Any
) -> Fingerprint:
    """The fingerprint of root/s with two contexts beside it."""
    found = {
        "c.yaml": many(context("one", {"A": "1"}), context("two", {"B": "2"})),
        "r.yaml": repository("infra"),
        "s.yaml": stack("s", *contexts, **spec),
        **(tree or {}),
    }
    in_force = begin(found)
    assert in_force.diagnostics == ()
    return fingerprint(effective(in_force.documents, stack_id("root/s")), snapshot)


def differing(one: Fingerprint, other: Fingerprint) -> dict[str, set[str]]:
    result = {}
    for component in Component:
        a, b = one.components.get(component, {}), other.components.get(component, {})
        items = {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
        if items:
            result[str(component)] = items
    return result


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"env": {"X": "1"}}, {"spec": {"env X"}}, id="env"),
        pytest.param({"files": {"a.tfvars": "x = 1"}}, {"spec": {"file a.tfvars"}}, id="file"),
        pytest.param({"hooks": {"before": {"plan": ["lint"]}}}, {"spec": {"hook before.plan"}}, id="hook"),
        pytest.param({"terraform": {"workspace": "w"}}, {"spec": {"terraform.workspace"}}, id="the tool's own setting"),
        pytest.param({"toolVersion": ">=1"}, {"tool": {"version"}}, id="tool version"),
        pytest.param({"source": {"path": "./net"}}, {"spec": {"source path"}}, id="source path"),
        pytest.param(
            {"source": {"path": ".", "repository": "infra"}}, {"spec": {"source repository"}}, id="repository"
        ),
        pytest.param({"autodeploy": False}, {}, id="autodeploy is about how, not what"),
        pytest.param({"suspended": True}, {}, id="so is suspended"),
        pytest.param({"timeout": "5m"}, {}, id="so is the timeout"),
    ],
)
def test_what_of_a_stack_counts(changed: dict[str, Any], expected: dict[str, set[str]]) -> None:
    assert differing(marks(), marks(**changed)) == expected


def test_a_context_counts_by_document_and_item() -> None:
    assert differing(marks(), marks("one", "two")) == {"contexts": {"root/one env A", "root/two env B"}}


def test_what_the_stack_overrides_counts_once() -> None:
    own = {"env": {"A": "mine"}}
    found = marks("one", **own)
    assert Component.CONTEXTS not in found.components
    other = many(context("one", {"A": "changed"}), context("two", {"B": "2"}))
    assert marks("one", tree={"c.yaml": other}, **own).digest == found.digest


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        pytest.param(SourceSnapshot(Revision("r2"), {".": "aaaa"}), {}, id="another revision with the same content"),
        pytest.param(SourceSnapshot(Revision("r1"), {".": "bbbb"}), {"source": {"."}}, id="other content"),
        pytest.param(
            SourceSnapshot(Revision("r1"), {".": "aaaa", "modules/x": "cccc"}), {"source": {"modules/x"}}, id="a module"
        ),
        pytest.param(
            SourceSnapshot(Revision("r1"), {".": "aaaa"}, {"backend": "managed"}), {}, id="facts follow from content"
        ),
        pytest.param(None, {"source": {"."}}, id="no source"),
    ],
)
def test_the_source_counts_by_content(snapshot: SourceSnapshot | None, expected: dict[str, set[str]]) -> None:
    assert differing(marks(), marks(snapshot=snapshot)) == expected


def test_the_order_of_hooks_counts() -> None:
    one = marks(hooks={"before": {"plan": ["a", "b"]}})
    other = marks(hooks={"before": {"plan": ["b", "a"]}})
    assert differing(one, other) == {"spec": {"hook before.plan"}}


def test_whether_a_file_may_be_run_counts() -> None:
    plain, written = marks(files={"a": "x"}), marks(files={"a": {"text": "x"}})
    assert differing(plain, written) == {}
    assert differing(plain, marks(files={"a": {"text": "x", "executable": True}})) == {"spec": {"file a"}}


def test_a_name_or_a_space_is_not_what_is_done() -> None:
    """A stack that only moves keeps its digest, so that moving starts nothing."""
    in_force = begin({"team/space.yaml": space("team"), "s.yaml": stack("s"), "o.yaml": stack("o", in_space="team")})
    one, other = (fingerprint(effective(in_force.documents, stack_id(name)), SNAPSHOT) for name in ("root/s", "team/o"))
    assert one.digest == other.digest


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        (["a", "b"], ["b", "a"], False),
        ("1", 1, True),
        ("\ud800", "\ud801", False),
        ("", None, False),
    ],
)
def test_hashes_of_values(*, one: object, other: object, same: bool) -> None:
    assert (short_hash(one) == short_hash(other)) is same
    assert len(short_hash(one)) == 24


def test_the_tools_own_settings_are_read_as_written() -> None:
    in_force = begin({"s.yaml": stack("s", tool="terraform", terraform={"workspace": "w"}), "t.yaml": stack("t")})
    by_name = {name: effective(in_force.documents, stack_id(name)).spec for name in ("root/s", "root/t")}
    assert options(by_name["root/s"]) == {"workspace": "w"}
    assert options(by_name["root/t"]) == {}
