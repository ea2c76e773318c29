"""Any value that one tool gives as an output arrives at the next one as it was, however deep in it something lies.

Outputs go through the real reader of the giving tool, the job of the taking run, and the real taking tool.
"""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.results import Output
from reconciler.loop.runs.taken import TakenOutput, taken
from reconciler.tools.base import TfstateBackend, ToolJob
from reconciler.tools.files import parse_json
from reconciler.tools.outputs import object_outputs
from reconciler.tools.registry import tool
from spaces.model.dependency import OutputUse
from spaces.names import StackId
from tests.needs import needs

TERRAFORM = shutil.which("terraform")
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
PARENT = StackId.parse("root/parent")

# What Terraform keeps of a text is its composed form, and of a number what is exact in 512 bits.
_TEXT = st.one_of(
    st.sampled_from(
        [
            "https://x/${1 + 1}",
            "$${x}",
            "${aws:username}",
            "%{if true}a%{endif}",
            "{{ 1 + 1 }}",
            'a"\\\n\t',
            "null",
            "5",
            "[1]",
        ]
    ),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12),
).map(lambda text: unicodedata.normalize("NFC", text))
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.sampled_from([0.5, -1.25, 1e-7]) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
VALUES = st.lists(VALUE, min_size=3, max_size=6)


class Place:
    def __init__(self, top: Path, support: Any, env: Mapping[str, str]) -> None:
        shutil.rmtree(top, ignore_errors=True)
        self.work, self.scratch, self.home = top / "work", top / "scratch", top / "home"
        for directory in (self.work, self.scratch, self.home):
            directory.mkdir(parents=True)
        extra = {**env, "STATION_OUTPUTS": str(self.scratch / "outputs.json")}
        self.do = support.RecordingDo(self.work, self.home, extra)


def _through_file(values: list[Any]) -> tuple[Output, ...]:
    written = json.dumps({f"o{index}": {"value": value} for index, value in enumerate(values)}).encode()
    return object_outputs(parse_json(written, "the file"), "the file")


def _taken(outputs: tuple[Output, ...], prefix: str) -> list[TakenOutput]:
    return [taken(output, OutputUse(env=f"{prefix}{output.name}"), PARENT) for output in outputs]


def _env(found: list[TakenOutput]) -> dict[str, str]:
    return {each.use.env: each.text for each in found if each.text is not None}


def _terraform(top: Path, support: Any, outputs: tuple[Output, ...], types: str, backend: TfstateBackend) -> Any:
    found = _taken(outputs, "TF_VAR_")
    place = Place(top, support, _env(found))
    declared = types.replace("\n", "\n  ")
    code = "".join(
        f'variable "{output.name}" {{\n  {declared}\n}}\noutput "{output.name}" {{\n  value = var.{output.name}\n}}\n'
        for output in outputs
    )
    (place.work / "main.tf").write_text(code)
    inputs = {each.use.env: each.value for each in found}
    job = ToolJob(TERRAFORM or "", place.work, place.scratch, {}, {"backend": "managed"}, backend, {}, inputs)
    adapter = tool("terraform")
    adapter.init(job, place.do)
    if not adapter.plan(job, place.do).has_changes:
        return adapter.plan(job, place.do).present
    return adapter.apply(job, place.do).outputs


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same to JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


@needs("terraform")
@pytest.mark.parametrize("types", ["type = any", "", "type = any\ndefault = null"], ids=["any", "no type", "a default"])
def test_into_terraform_and_out_of_it(tmp_path: Path, tfstate_server: Any, types: str, support: Any) -> None:
    @settings(max_examples=6, deadline=None)
    @given(VALUES)
    def holds(values: list[Any]) -> None:
        tfstate_server.tfstate = None
        given_outputs = _through_file(values)
        arrived = _terraform(tmp_path / "one", support, given_outputs, types, tfstate_server.backend)
        for before, after in zip(given_outputs, arrived, strict=True):
            assert _same(before.value, after.value), (before, after)

    holds()


@needs("terraform")
@pytest.mark.parametrize(
    ("types", "value", "arrives"),
    [
        pytest.param("type = string", "https://x/${1 + 1}", "https://x/${1 + 1}", id="text"),
        pytest.param("type = string", {"a": "${1}"}, '{"a":"${1}"}', id="an object as text is JSON"),
        pytest.param("type = number", 5, 5, id="number"),
        pytest.param("type = number", "5", 5, id="number from text"),
        pytest.param("type = map(string)", {"url": "https://x/${1 + 1}"}, {"url": "https://x/${1 + 1}"}, id="map"),
        pytest.param("type = list(string)", ["$${x}", "${aws:username}"], ["$${x}", "${aws:username}"], id="list"),
        pytest.param("type = object({a = list(any)})", {"a": [1]}, {"a": [1]}, id="object"),
        pytest.param("type = number\ndefault = 7", None, 7, id="null leaves the default"),
        pytest.param('type = string\nnullable = false\ndefault = "d"', None, "d", id="null, not nullable"),
        pytest.param("type = list(string)", None, None, id="null where there is no default"),
    ],
)  # fmt: skip
def test_into_terraform_by_type(  # noqa: PLR0917 - three fixtures and a table
    tmp_path: Path, tfstate_server: Any, support: Any, types: str, value: Any, arrives: Any
) -> None:
    (found,) = _terraform(tmp_path / "one", support, (Output("o", value),), types, tfstate_server.backend)
    assert _same(found.value, arrives), found


@settings(max_examples=10, deadline=None)
@given(values=VALUES)
def test_into_a_script_and_out_of_it(values: list[Any], tmp_path_factory: Any, support: Any) -> None:
    outputs = _through_file(values)
    found = _taken(outputs, "OUT_")
    place = Place(tmp_path_factory.getbasetemp() / "script", support, _env(found))
    # A script gets text as it is, anything else as JSON, and nothing at all for null.
    code = (
        "import json, os\n"
        f"kinds = json.loads({json.dumps(json.dumps([isinstance(value, str) for value in values]))})\n"
        "texts = [os.environ.get(f'OUT_o{index}') for index in range(len(kinds))]\n"
        "read = [text if plain else json.loads(text or 'null') for plain, text in zip(kinds, texts)]\n"
        "print(json.dumps({f'o{index}': {'value': value} for index, value in enumerate(read)}))\n"
    )
    (place.work / "read.py").write_text(code)
    job = ToolJob("", place.work, place.scratch, {"apply": "true", "outputs": "python3 read.py"})
    assert tool("script").apply(job, place.do).outputs == outputs


@needs("ansible-playbook")
def test_into_ansible_and_out_of_it(tmp_path: Path, support: Any) -> None:
    values = ["{{ 1 + 1 }}", "${x}", {"url": "https://x/${1 + 1}", "t": ["{{ 1 }}", None, True, 1.5]}, [], None, "5"]
    outputs = _through_file(values)
    found = _taken(outputs, "OUT_")
    place = Place(tmp_path / "ansible", support, _env(found))
    reads = {
        output.name: {
            "value": f"{{{{ lookup('env', 'OUT_{output.name}')"
            + (" }}" if isinstance(output.value, str) else " | default('null', true) | from_json }}")
        }
        for output in outputs
    }
    task = {
        "copy": {"dest": "{{ lookup('env', 'STATION_OUTPUTS') }}", "content": "{{ read | to_json }}"},
        "vars": {"read": reads},
    }
    (place.work / "site.yml").write_text(
        json.dumps([{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": [task]}])
    )
    (place.work / "hosts").write_text(f"localhost ansible_python_interpreter={sys.executable}\n")
    options = {"playbook": "site.yml", "inventory": "hosts"}
    job = ToolJob(str(ANSIBLE), place.work, place.scratch, options)
    tool("ansible").apply(job, place.do)
    arrived = object_outputs(parse_json((place.scratch / "outputs.json").read_bytes(), "it"), "it")
    assert arrived == outputs
