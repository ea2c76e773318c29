from __future__ import annotations

from tests.contract.tools.subjects import terraform


class TheSubject(terraform.TheSubject):
    tool = "terragrunt"
    needs = ("terragrunt", "tofu")

    def files(self, text: str) -> dict[str, str]:
        return self._unit(super().files(text))

    def failing(self) -> dict[str, str]:
        return self._unit(super().failing())

    def hanging(self) -> dict[str, str]:
        return self._unit(super().hanging())

    def _unit(self, module: dict[str, str]) -> dict[str, str]:
        module = {f"module/{name}": content for name, content in module.items()}
        return {"terragrunt.hcl": 'terraform {\n  source = "./module"\n}\n', **module}
