"""Whatever a tool writes, its adapter reads it or refuses it: it never breaks, and never lets in what nobody can keep."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.results import Applied, Output
from reconciler.tools.ansible import events as ansible
from reconciler.tools.base import StepFailed
from reconciler.tools.files import parse_json
from reconciler.tools.outputs import object_outputs
from reconciler.tools.terraform.plan import Expected, Marks, expected, planned
from reconciler.tools.terraform.tfstate import applied

_TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["value", "sensitive", "version", "outputs", "resources", "instances", "attributes", "mode", "managed", "change"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
OUTPUT = ANYTHING | st.fixed_dictionaries({"value": ANYTHING}, optional={"sensitive": ANYTHING, "type": ANYTHING})
TFSTATE = st.fixed_dictionaries(
    {"version": st.just(4)},
    optional={
        "outputs": ANYTHING | st.dictionaries(_TEXT, OUTPUT, max_size=3),
        "resources": ANYTHING
        | st.lists(
            st.fixed_dictionaries(
                {"mode": st.just("managed"), "type": ANYTHING},
                optional={"instances": st.lists(ANYTHING | st.dictionaries(_TEXT, ANYTHING)), "name": ANYTHING},
            ),
            max_size=3,
        ),
    },
)
CHANGE = st.fixed_dictionaries(
    {"actions": ANYTHING | st.sampled_from([["update"], ["no-op"], ["create"]])},
    optional=dict.fromkeys(("before", "after", "after_unknown", "after_sensitive", "importing"), ANYTHING),
)
PLAN = st.fixed_dictionaries(
    {"format_version": st.just("1.2")},
    optional={
        "resource_changes": ANYTHING | st.lists(st.fixed_dictionaries({"address": ANYTHING, "change": CHANGE})),
        "output_changes": ANYTHING | st.dictionaries(_TEXT, CHANGE, max_size=3),
        "prior_state": ANYTHING,
    },
)


def _written(value: Any) -> bytes:
    return json.dumps(value).encode()


def _of_file(data: bytes) -> Applied:
    return Applied(None, object_outputs(parse_json(data, "the file"), "the file"))


def _of_tfstate(data: bytes) -> Applied:
    return applied(parse_json(data, "the tfstate"), Expected({"a.b": Marks({"x": True}, True)}, ("o",)))


def _of_plan(data: bytes) -> Applied:
    document = parse_json(data, "the plan")
    expected(document)
    planned(document, has_changes=True)
    return Applied(None, planned(document, has_changes=False).present)


READERS: dict[str, tuple[Callable[[bytes], Applied], Any]] = {
    "a JSON file": (_of_file, ANYTHING | st.dictionaries(_TEXT, OUTPUT, max_size=4)),
    "a tfstate": (_of_tfstate, ANYTHING | TFSTATE),
    "a plan": (_of_plan, ANYTHING | PLAN),
}


@pytest.mark.parametrize("name", READERS)
def test_any_json_is_read_or_refused_and_what_is_read_can_be_written(name: str) -> None:
    read, documents = READERS[name]

    @settings(max_examples=80, deadline=None)
    @given(documents)
    def holds(document: Any) -> None:
        with contextlib.suppress(StepFailed):
            _keepable(read(_written(document)))

    holds()


@pytest.mark.parametrize("name", READERS)
def test_any_bytes_are_read_or_refused(name: str) -> None:
    read, _ = READERS[name]

    @settings(max_examples=80, deadline=None)
    @given(st.binary(max_size=60))
    def holds(data: bytes) -> None:
        with contextlib.suppress(StepFailed):
            _keepable(read(data))

    holds()


def _keepable(found: Applied) -> None:
    for output in found.outputs:
        assert isinstance(output, Output)
        json.dumps([output.name, output.value], ensure_ascii=False, allow_nan=False).encode()


@settings(max_examples=80, deadline=None)
@given(st.lists(ANYTHING | st.fixed_dictionaries({"event": st.just("task"), "host": ANYTHING, "task": ANYTHING})))
def test_any_events_are_read_or_refused(events: list[Any]) -> None:
    data = b"".join(_written(event) + b"\n" for event in events)
    with contextlib.suppress(StepFailed):
        found = ansible.parse(data)
        ansible.failure(found)
        for change in ansible.planned(found).changes:
            json.dumps([change.address, change.before, change.after], ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(rb'{"o": "\ud800"}', "half of a surrogate pair", id="a lone surrogate"),
        pytest.param(rb'{"o": {"\udc00": 1}}', "half of a surrogate pair", id="in a key"),
        pytest.param(b'{"o": "\xed\xa0\x80"}', "byte 7 is not UTF-8", id="in bytes"),
        pytest.param(b'{"o": NaN}', "cannot|can be read", id="not a number"),
        pytest.param(b'{"o": 1e999}', "cannot|can be read", id="endless"),
        pytest.param(b'{"o": ' + b"9" * 5000 + b"}", "cannot|can be read", id="a number of 5,000 digits"),
        pytest.param(b"[" * 200_000, "cannot|can be read", id="too deep"),
    ],
)
def test_what_nobody_could_write_down_again_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(StepFailed, match=rf"^the file is not JSON.*({words})"):
        _of_file(data)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert _of_file(rb'{"o": "\ud83d\ude00"}').outputs == (Output("o", "😀"),)
