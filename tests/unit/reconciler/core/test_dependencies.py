from __future__ import annotations

import pytest

from reconciler.core.dependencies import ParentOutputs, linked, previews_ahead, stood_in
from reconciler.core.diff import explain
from reconciler.core.state import Component, Need, StackProblem
from spaces.model.dependency import OutputUse
from tests.factories import a_desired, a_run, a_stack_id

APP, BASE, OTHER = a_stack_id("team/app"), a_stack_id("platform/base"), a_stack_id("platform/core")
VPC = Need(BASE, {"vpc": OutputUse(env="TF_VAR_vpc")})


def given(in_sync: bool = True, **marks: str) -> ParentOutputs:  # noqa: FBT001, FBT002
    return ParentOutputs(marks, in_sync=in_sync)


def test_the_same_outputs_make_the_same_digest_and_others_another() -> None:
    desired = a_desired(needs=(VPC,))
    one = linked(desired, APP, {BASE: given(vpc="1", unused="1")})
    assert one.fingerprint.components[Component.DEPENDENCIES] == {"platform/base vpc -> TF_VAR_vpc": "1"}
    assert one.digest == one.fingerprint.digest != desired.digest
    assert one.fingerprint.own == desired.fingerprint.components
    assert linked(one, APP, {BASE: given(vpc="1", unused="2")}) == one
    two = linked(one, APP, {BASE: given(vpc="2")})
    assert two.digest != one.digest
    assert [why.summary for why in explain(two.fingerprint, one.fingerprint, lambda *_: None)] == [
        "dependency platform/base: output vpc"
    ]


def test_a_stack_that_gives_the_same_under_another_name_changes_nothing() -> None:
    one = linked(a_desired(needs=(VPC,)), APP, {BASE: given(vpc="1")})
    moved = linked(a_desired(needs=(Need(OTHER, {"vpc": OutputUse(env="TF_VAR_vpc")}),)), APP, {OTHER: given(vpc="1")})
    assert moved.digest == one.digest


def test_a_dependency_without_outputs_is_no_part_of_the_digest() -> None:
    desired = a_desired(needs=(Need(BASE),))
    assert linked(desired, APP, {BASE: given(vpc="1")}) == desired
    assert linked(a_desired(), APP, {}) == a_desired()


def test_places_of_an_output_and_each_apply_are_parts_of_the_digest() -> None:
    uses = {"vpc": OutputUse(env="VPC", file="./in/vpc.json", previewAs="unknown")}
    before = linked(a_desired(needs=(Need(BASE, uses, always=True),)), APP, {})
    names = ["platform/base applied", "platform/base vpc -> VPC", "platform/base vpc -> file in/vpc.json"]
    assert before.fingerprint.components[Component.DEPENDENCIES] == dict.fromkeys(names, "none")
    one = linked(before, APP, {BASE: ParentOutputs({"vpc": "1"}, in_sync=True, changed="run-1")})
    two = linked(one, APP, {BASE: ParentOutputs({"vpc": "1"}, in_sync=True, changed="run-2")})
    assert [why.summary for why in explain(two.fingerprint, one.fingerprint, lambda *_: None)] == [
        "dependency platform/base: an apply"
    ]
    run = a_run(fingerprint=before.fingerprint)
    assert stood_in(run) == ("vpc of platform/base",)
    assert stood_in(run.evolve(fingerprint=one.fingerprint)) == ()


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        pytest.param([Need(BASE, {"a": OutputUse(env="A", previewAs=0)}), Need(OTHER)], True, id="all have one"),
        pytest.param(
            [Need(BASE, {"a": OutputUse(env="A", previewAs=0), "b": OutputUse(env="B")})],
            False,
            id="one lacks it",
        ),
        pytest.param([Need(BASE)], False, id="only the order: nothing stands in"),
    ],
)
def test_a_plan_need_not_wait_where_something_stands_in_for_each_output(needs: list[Need], *, expected: bool) -> None:
    assert previews_ahead(a_desired(needs=tuple(needs))) is expected


MISSING = "platform/base has no output vpc, which team/app uses as TF_VAR_vpc"


@pytest.mark.parametrize(
    ("parent", "before", "expected"),
    [
        pytest.param(None, None, None, id="never applied"),
        pytest.param(given(in_sync=False, a="1"), None, None, id="out of sync: it may come yet"),
        pytest.param(given(a="1", b="2"), None, MISSING, id="in sync: it will not come"),
        pytest.param(given(vpc="1"), StackProblem("OutputMissing", MISSING), None, id="it came"),
        pytest.param(given(a="1", b="2"), StackProblem("SourceNotFound", "m"), "m", id="another problem goes first"),
        pytest.param(given(vpc="1"), StackProblem("SourceNotFound", "m"), "m", id="another problem stays"),
    ],
)
def test_a_missing_output(parent: ParentOutputs | None, before: StackProblem | None, expected: str | None) -> None:
    found = linked(a_desired(needs=(VPC,), problem=before), APP, {BASE: parent} if parent else {})
    assert (found.problem.message if found.problem else None) == expected
