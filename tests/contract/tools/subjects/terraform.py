from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.contract.tools.subjects.base import SECRET, Subject

PROVIDERS = Path(__file__).parents[4] / ".tools" / "providers"


class TheSubject(Subject):
    """Makes a file by HashiCorp's provider `local`, from a mirror that the operator's CLI configuration names."""

    tool = "terraform"
    needs = ("terraform",)
    registry: ClassVar[str] = "registry.terraform.io"

    def __init__(self, world: Path) -> None:
        super().__init__(world)
        if not (PROVIDERS / self.registry).is_dir():
            pytest.skip("terraform-provider-local is not built (make tools)")
        self.mirror = world.parent / "cli.rc"
        self.mirror.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{PROVIDERS}"\n  }}\n}}\n'
            'credentials "registry.example.com" {\n  token = "registry-token"\n}\n'
        )
        self.mirror.chmod(0o600)
        self.settings = {"terraform_cli_config": self.mirror}

    def spec(self) -> dict[str, Any]:
        return {self.tool: {"parallelism": 3, "lockTimeout": "5s", "args": {"plan": ["-compact-warnings"]}}}

    def files(self, text: str) -> dict[str, str]:
        return {"main.tf": self._thing(text) + self._outputs(text)}

    def failing(self) -> dict[str, str]:
        return {"main.tf": self._thing("half") + self._after("echo out of luck >&2; exit 3")}

    def hanging(self) -> dict[str, str]:
        return {"main.tf": self._thing("never") + self._after(f"touch {self.world}/hanging; sleep 60")}

    def _thing(self, text: str) -> str:
        return f'resource "local_file" "thing" {{\n  content  = "{text}"\n  filename = "{self.world}/thing"\n}}\n'

    def _after(self, command: str) -> str:
        return (
            'resource "terraform_data" "after" {\n  depends_on = [local_file.thing]\n'
            f'  provisioner "local-exec" {{\n    command = "{command}"\n  }}\n}}\n'
        )

    def _outputs(self, text: str) -> str:
        return (
            f'output "greeting" {{\n  value = "hello {text}"\n}}\n'
            f'output "secret" {{\n  value     = "{SECRET}"\n  sensitive = true\n}}\n'
        )
