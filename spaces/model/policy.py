"""The Policy: a rule in Rego that plans, approvals or pushes of a space's whole subtree have to pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from spaces.model.base import (
    FilePath,
    Flag,
    LabelKey,
    LabelValue,
    Model,
    Path,
    Problem,
    SpecModel,
    mapping_at,
    matching,
    text_at,
)
from spaces.model.stack import OfferedTool

REGO_TEXT = r"^[^\x00]*[^\x00\s][^\x00]*$"


class PolicyType(StrEnum):
    """What a policy is asked about."""

    PLAN = "plan"
    APPROVAL = "approval"
    PUSH = "push"
    NOTIFICATION = "notification"


class Enforcement(StrEnum):
    """What a policy's no means."""

    MANDATORY = "mandatory"
    """It stops the run."""
    ADVISORY = "advisory"
    """It is shown, and nothing else."""


class Attachment(Model):
    """Which stacks of the subtree a policy is for; everything that is said must fit."""

    match_labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        description="Labels of the stack's space; the nearest space above (or itself) that has the key decides.",
    )
    tools: tuple[OfferedTool, ...] | None = Field(None, description="Only stacks of these tools; left out: of any.")


class PolicySpec(SpecModel):
    """A rule in Rego over every stack of its space's subtree."""

    later: ClassVar[Mapping[str, str]] = {}

    type: PolicyType = Field(description="What it is asked about.")
    enforcement: Enforcement = Field(
        Enforcement.MANDATORY, description="mandatory: its no stops the run; advisory: it is only shown."
    )
    attach: Attachment | None = Field(None, description="Which stacks; left out: every stack of the subtree.")
    rego: Annotated[str, matching(REGO_TEXT, 256 * 1024)] | None = Field(
        None, description="The rule in Rego (version 1), in `package stationkeeper`."
    )
    rego_file: FilePath | None = Field(
        None, description="A file of this repository with the rule, relative to this document's file."
    )
    author_counts: Flag = Field(
        False, description="For approval: true lets reviews by the person who caused the run count."
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Give what does not fit together: where the rule stands, and what its type has no use for."""
        here, there = raw.get("rego") is not None, raw.get("regoFile") is not None
        if here == there:
            summary = "spec has both rego and regoFile" if here else "spec needs one of rego and regoFile"
            code = "invalid-value" if here else "missing-key"
            yield Problem((), code, summary, "write the rule here, or name its file", at_key=True)
        if mapping_at(raw, "attach").get("tools") == []:
            summary = "spec.attach.tools is empty: it would be for no stack"
            yield Problem(("attach", "tools"), "invalid-value", summary, "leave it out, for every tool", at_key=True)
        kind = text_at(raw, "type")
        if "enforcement" in raw and kind == PolicyType.NOTIFICATION:
            summary = "spec.enforcement is not for policies of the type notification: they stop nothing"
            yield Problem(("enforcement",), "invalid-value", summary, "leave it out", at_key=True)
        if "authorCounts" in raw and kind not in (None, PolicyType.APPROVAL):
            summary = f"spec.authorCounts is for policies of the type approval, this one is of {kind}"
            yield Problem(("authorCounts",), "invalid-value", summary, "leave it out", at_key=True)

    def attachments(self) -> Iterable[tuple[Path, str]]:
        """Name the rule's file."""
        return () if self.rego_file is None else ((("regoFile",), self.rego_file),)
