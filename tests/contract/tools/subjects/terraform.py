from __future__ import annotations

from typing import Any, ClassVar

from tests.contract.tools.subjects.base import SECRET, Subject


class TheSubject(Subject):
    tool = "terraform"
    needs = ("terraform",)
    cannot: ClassVar = {"changed outside": "a resource without a provider has nothing outside of the tfstate"}

    def spec(self) -> dict[str, Any]:
        return {}

    def files(self, text: str) -> dict[str, str]:
        return {"main.tf": self._thing(text, f"printf %s {text} > {self.world}/thing") + self._outputs(text)}

    def failing(self) -> dict[str, str]:
        broken = (
            'resource "terraform_data" "broken" {\n'
            "  depends_on = [terraform_data.thing]\n"
            '  provisioner "local-exec" {\n    command = "echo out of luck >&2; exit 3"\n  }\n}\n'
        )
        return {"main.tf": self._thing("half", f"printf half > {self.world}/thing") + broken}

    def hanging(self) -> dict[str, str]:
        return {"main.tf": self._thing("never", f"touch {self.world}/hanging; sleep 60")}

    def _thing(self, text: str, command: str) -> str:
        return (
            'resource "terraform_data" "thing" {\n'
            f'  triggers_replace = "{text}"\n'
            f'  input            = "{self.world}/thing"\n'
            f'  provisioner "local-exec" {{\n    command = "{command}"\n  }}\n'
            '  provisioner "local-exec" {\n    when    = destroy\n    command = "rm -f ${self.input}"\n  }\n}\n'
        )

    def _outputs(self, text: str) -> str:
        return (
            f'output "greeting" {{\n  value = "hello {text}"\n}}\n'
            f'output "secret" {{\n  value     = "{SECRET}"\n  sensitive = true\n}}\n'
        )
