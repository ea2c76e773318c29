"""Documents of ours in files that somebody wrote."""

from __future__ import annotations

from typing import Any

import pytest

from spaces.names import API_VERSION
from spaces.reading.writing import as_yaml, with_document


def _order(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "shop", "space": "team"}
    return {"apiVersion": API_VERSION, "kind": "BlueprintInstance", "metadata": metadata, "spec": spec}


_OTHER = f"apiVersion: {API_VERSION}\nkind: Context\nmetadata: {{name: shop}}\nspec: {{env: {{A: '1'}}}}\n"
_THERE = f"""\
# of the shop team
apiVersion: {API_VERSION}
kind: BlueprintInstance
metadata: {{name: shop}}
spec:
  version: "1"  # see the changelog
  blueprint: web
  inputs: {{app: shop, old: 1}}
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("", as_yaml(_order(blueprint="web", version="2", inputs={"app": "x"})), id="nothing there"),
        pytest.param(
            _OTHER, _OTHER + "---\n" + as_yaml(_order(blueprint="web", version="2", inputs={"app": "x"})), id="behind"
        ),
        pytest.param(
            f"{_OTHER}---\n{_THERE}---\n{_OTHER}",
            f"{_OTHER}---\n{_THERE}---\n{_OTHER}".replace('"1"', '"2"').replace("app: shop, old: 1", "app: x"),
            id="in its place, with its comments",
        ),
        pytest.param("a: [\n", None, id="not YAML"),
    ],
)
def test_a_document_goes_into_a_file_that_somebody_wrote(before: str, after: str | None) -> None:
    assert with_document(before, _order(blueprint="web", version="2", inputs={"app": "x"})) == after
