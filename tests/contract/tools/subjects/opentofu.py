from __future__ import annotations

from tests.contract.tools.subjects import terraform


class TheSubject(terraform.TheSubject):
    tool = "opentofu"
    needs = ("tofu",)
    registry = "registry.opentofu.org"
