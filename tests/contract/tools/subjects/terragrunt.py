from __future__ import annotations

from typing import Any

from tests.contract.tools.subjects import terraform


class TheSubject(terraform.TheSubject):
    tool = "terragrunt"
    needs = ("terragrunt", "tofu")
    registry = "registry.opentofu.org"

    def spec(self) -> dict[str, Any]:
        return {}

    def files(self, text: str) -> dict[str, str]:
        return self._unit(super().files(text))

    def failing(self) -> dict[str, str]:
        return self._unit(super().failing())

    def hanging(self) -> dict[str, str]:
        return self._unit(super().hanging())

    def _unit(self, module: dict[str, str]) -> dict[str, str]:
        module = {f"module/{name}": content for name, content in module.items()}
        return {"terragrunt.hcl": 'terraform {\n  source = "./module"\n}\n', **module}
