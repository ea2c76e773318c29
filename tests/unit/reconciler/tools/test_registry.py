from __future__ import annotations

import subprocess
import sys

import pytest

from reconciler.tools.kubernetes import inventory
from reconciler.tools.registry import TOOLS, tool
from spaces.model.tools import TOOLS as DESCRIBED
from spaces.model.tools import kubernetes


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_every_tool_answers_to_its_name(name: str) -> None:
    assert tool(name).name == name


def test_an_unknown_tool_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        tool("chef")


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_an_adapter_brings_only_itself_and_the_standard_library(name: str) -> None:
    code = (
        "import sys; before = set(sys.modules); from reconciler.tools.registry import tool; "
        f"tool({name!r}); print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    tops = {module.partition(".")[0] for module in loaded} - {"reconciler"} - set(sys.stdlib_module_names)
    others = TOOLS - {name, "terraform" if name in {"opentofu", "terragrunt"} else name}
    assert (tops, [module for module in loaded if module in {f"reconciler.tools.{other}" for other in others}]) == (
        set(),
        [],
    )


def test_the_adapter_protects_the_kinds_that_the_document_names() -> None:
    # Two lists: a run's own process must not load what reads documents.
    assert inventory.PROTECTED == kubernetes.PROTECTED


def test_every_tool_has_settings_and_an_adapter() -> None:
    assert set(DESCRIBED) == TOOLS
