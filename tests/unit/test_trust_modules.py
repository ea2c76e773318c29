"""The Terraform modules that set up trust in clouds say the same as the pages about them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from spaces.model.clouds import SUBJECT
from tests.needs import needs

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "examples" / "integrations" / "terraform"


@pytest.mark.parametrize(
    ("cloud", "said"),
    [
        ("aws", ["space:production:stack:*", "space:production:stack:*:kind:*:phase:apply", "sts.amazonaws.com"]),
        ("azure", ["space:production:phase:apply", "space:production:phase:plan", "api://AzureADTokenExchange"]),
        ("gcp", ["/attribute.who/production:apply", 'assertion.space + ":" + assertion.phase', "production:plan"]),
    ],
)
def test_a_module_trusts_whom_the_page_trusts(cloud: str, said: list[str]) -> None:
    module = (MODULES / cloud / "main.tf").read_text().replace('\\"', '"').replace("${var.space}", "production")
    page = (ROOT / "docs" / "integrations" / f"{cloud}.md").read_text()
    words = module + module.replace("${each.key}", "plan") + module.replace("${each.key}", "apply")
    for each in said:
        assert each in words
        assert each in page
    assert f"examples/integrations/terraform/{cloud}" in page


def test_subjects_of_modules_are_those_that_tokens_can_have() -> None:
    for file in MODULES.glob("*/main.tf"):
        for subject in re.findall(r'"(space:[^"]*)"', file.read_text()):
            template = subject.replace("${var.space}", "{space}").replace("${each.key}", "{phase}")
            for part in ("stack", "kind"):
                template = template.replace(f":{part}:*", f":{part}:{{{part}}}")
            template = template.replace(":phase:apply", ":phase:{phase}")
            assert re.fullmatch(SUBJECT, template), subject


@needs("terraform")
def test_modules_are_formatted() -> None:
    command = ["terraform", "fmt", "-check", "-recursive", "-diff", str(MODULES)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (found.returncode, found.stdout) == (0, "")
