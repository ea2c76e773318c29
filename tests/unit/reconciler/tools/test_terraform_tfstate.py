from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.results import Applied, Output, Resource
from reconciler.tools.base import StepFailed
from reconciler.tools.terraform.plan import Expected, Marks
from reconciler.tools.terraform.tfstate import applied, unwrapped


def tfstate(*resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"version": 4, "serial": 1, "lineage": "l", "outputs": outputs or {}, "resources": list(resources)}


def resource(*instances: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "mode": "managed",
        "type": "aws_vpc",
        "name": "main",
        "provider": 'provider["registry.terraform.io/hashicorp/aws"]',
        "instances": list(instances),
        **more,
    }


KNOWN = Marks(False, False)


@pytest.mark.parametrize(
    ("more", "instance", "address"),
    [
        pytest.param({}, {}, "aws_vpc.main", id="plain"),
        pytest.param({}, {"index_key": 0}, "aws_vpc.main[0]", id="count"),
        pytest.param({}, {"index_key": "eu"}, 'aws_vpc.main["eu"]', id="for_each"),
        pytest.param({}, {"index_key": 'a"b${c}'}, 'aws_vpc.main["a\\"b$${c}"]', id="quoted"),
        pytest.param({"module": 'module.net["x"]'}, {}, 'module.net["x"].aws_vpc.main', id="module"),
        pytest.param({}, {"deposed": "00aa"}, "aws_vpc.main (deposed 00aa)", id="deposed"),
    ],
)
def test_addresses(more: dict[str, Any], instance: dict[str, Any], address: str) -> None:
    found = applied(tfstate(resource({"attributes": {"id": "v"}, **instance}, **more)), Expected())
    assert [item.address for item in found.resources or ()] == [address]


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ('provider["registry.terraform.io/hashicorp/aws"]', "registry.terraform.io/hashicorp/aws"),
        ('provider["registry.opentofu.org/hashicorp/aws"].eu', "registry.opentofu.org/hashicorp/aws"),
        ('module.x.provider["terraform.io/builtin/terraform"]', "terraform.io/builtin/terraform"),
        ("something else", "something else"),
    ],
    ids=["plain", "alias", "module", "odd"],
)
def test_providers(provider: str, name: str) -> None:
    found = applied(tfstate(resource({"attributes": {}}, provider=provider)), Expected())
    assert [item.provider for item in found.resources or ()] == [name]


@pytest.mark.parametrize(
    ("attributes", "marks", "recorded", "shown"),
    [
        pytest.param({"id": "v"}, KNOWN, [], {"id": "v"}, id="plain"),
        pytest.param({"id": "v"}, None, [], {}, id="the plan did not know it"),
        pytest.param({"id": "v"}, Marks(True, False), [], {}, id="all of it sensitive"),
        pytest.param(
            {"id": "v", "p": "x"}, Marks({"p": True}, {}), [], {"id": "v", "p": "(sensitive)"}, id="by the plan"
        ),
        pytest.param(
            {"id": "v", "p": "x"},
            KNOWN,
            [[{"type": "get_attr", "value": "p"}]],
            {"id": "v", "p": "(sensitive)"},
            id="by the tfstate",
        ),
        pytest.param(
            {"l": [{"p": "x", "q": 1}]},
            KNOWN,
            [
                [
                    {"type": "get_attr", "value": "l"},
                    {"type": "index", "value": {"value": 0, "type": "number"}},
                    {"type": "get_attr", "value": "p"},
                ]
            ],
            {"l": [{"p": "(sensitive)", "q": 1}]},
            id="by the tfstate in a list",
        ),
        pytest.param(
            {"s": [{"p": "secret-in-a-set"}], "q": "q"},
            KNOWN,
            [
                [
                    {"type": "get_attr", "value": "s"},
                    {"type": "index", "value": {"value": {"p": "x"}, "type": ["object", {}]}},
                ]
            ],
            {"s": "(sensitive)", "q": "q"},
            id="by the tfstate in a set",
        ),
        pytest.param(
            {"o": {"t": "x"}}, Marks({}, {"o": True}), [], {"o": "(not shown)"}, id="structure nobody foresaw"
        ),
        pytest.param(
            {"o": ["x"], "i": "x"}, Marks({}, {"o": True, "i": True}), [], {"o": ["x"], "i": "x"}, id="known now"
        ),
        pytest.param(
            {"in": {"value": "x", "type": "string"}, "out": {"value": [1], "type": ["tuple", ["number"]]}},
            KNOWN,
            [],
            {"in": "x", "out": [1]},
            id="open types",
        ),
        pytest.param(
            {"in": "long-secret", "copy": ["long-secret"]},
            Marks({"in": True}, {}),
            [],
            {"in": "(sensitive)", "copy": ["(sensitive)"]},
            id="copied without a mark",
        ),
    ],
)
def test_attributes(attributes: Any, marks: Marks | None, recorded: list[Any], shown: Any) -> None:
    instance = {"attributes": attributes, "sensitive_attributes": recorded}
    found = applied(tfstate(resource(instance)), Expected({} if marks is None else {"aws_vpc.main": marks}))
    assert found.resources == (Resource("aws_vpc.main", "aws_vpc", "registry.terraform.io/hashicorp/aws", shown),)


@pytest.mark.parametrize(
    "value",
    [{"type": "A", "value": "192.0.2.1"}, {"value": 1, "type": "string"}, {"value": "x", "type": "string", "ttl": 1}],
    ids=["dns record", "type of another value", "more keys"],
)
def test_an_object_that_only_looks_typed_stays(value: Any) -> None:
    assert unwrapped({"record": value}) == {"record": value}


def test_outputs_and_what_hides_them() -> None:
    outputs = {"b": {"value": "top-secret", "type": "string", "sensitive": True}, "a": {"value": [1], "type": []}}
    instance = {"attributes": {"copy": "top-secret"}}
    found = applied(tfstate(resource(instance), outputs=outputs), Expected({"aws_vpc.main": KNOWN}, ("a", "n")))
    assert found.outputs == (
        Output("a", [1]),
        Output("b", "top-secret", sensitive=True),
        Output("n", None),
    ), "an output that is null stands in no tfstate"
    assert [item.attributes for item in found.resources or ()] == [{"copy": "(sensitive)"}]


def test_data_sources_are_no_resources() -> None:
    assert applied(tfstate(resource({"attributes": {}}, mode="data")), Expected()) == Applied(resources=())


@pytest.mark.parametrize("document", [{"version": 3}, {}, [], None], ids=str)
def test_an_unknown_format_is_refused(document: Any) -> None:
    with pytest.raises(StepFailed, match="not known"):
        applied(document, Expected())
