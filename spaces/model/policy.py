"""The Policy: a rule in Rego that documents, plans, approvals or pushes in a space's whole subtree must pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, WithJsonSchema

from spaces.model.base import (
    MOST_ITEMS,
    MOST_LABELS,
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
    shaped,
    text_at,
)
from spaces.model.tools import ToolName

ParamName = Annotated[
    str, shaped(r"[A-Za-z_][A-Za-z0-9_]{0,62}", "is not a parameter's name: letters, digits and _, no digit first")
]

REGO_TEXT = r"^[^\x00]*[^\x00\s][^\x00]*$"


class PolicyType(StrEnum):
    """The decisions that a policy can be asked about."""

    PLAN = "plan"
    APPROVAL = "approval"
    PUSH = "push"
    NOTIFICATION = "notification"
    CONFIG = "config"


class Enforcement(StrEnum):
    """The consequence of a policy's refusal."""

    MANDATORY = "mandatory"
    """The run stops."""
    ADVISORY = "advisory"
    """The refusal is shown; nothing stops."""


class Attachment(Model):
    """Selects the stacks of the subtree that a policy applies to; every given condition must hold."""

    match_labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        max_length=MOST_LABELS,
        description="Labels of the stack's space. The nearest space that has the key decides, the stack's own first.",
    )
    tools: tuple[ToolName, ...] | None = Field(
        None, description="Only stacks that use one of these tools. Default: any tool."
    )


class PolicySpec(SpecModel):
    """A rule in Rego for the stacks of its space's subtree."""

    later: ClassVar[Mapping[str, str]] = {}

    type: PolicyType = Field(description="What the policy decides about.")
    enforcement: Enforcement = Field(
        Enforcement.MANDATORY, description="mandatory: a denial stops the run. advisory: it is only shown."
    )
    attach: Attachment | None = Field(None, description="Which stacks it covers. Default: every stack below its space.")
    rego: Annotated[str, matching(REGO_TEXT, 256 * 1024)] | None = Field(
        None, description="The rule in Rego (version 1), in `package stationkeeper`."
    )
    rego_file: FilePath | None = Field(
        None, description="A file of this repository with the rule, relative to this document's file."
    )
    params: dict[ParamName, Annotated[Any, WithJsonSchema({})]] = Field(
        default_factory=dict, max_length=MOST_ITEMS, description="Values that the rule reads as input.params."
    )
    author_counts: Flag = Field(
        False, description="For approval: true lets reviews by the person who caused the run count."
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield settings that do not fit together: the place of the rule, and keys that its type cannot use."""
        inline, in_file = raw.get("rego") is not None, raw.get("regoFile") is not None
        if inline == in_file:
            summary = "spec has both rego and regoFile" if inline else "spec needs one of rego and regoFile"
            code = "invalid-value" if inline else "missing-key"
            yield Problem((), code, summary, "write the rule here, or name its file", at_key=True)
        if mapping_at(raw, "attach").get("tools") == []:
            summary = "spec.attach.tools is empty, so the policy would apply to no stack"
            yield Problem(("attach", "tools"), "invalid-value", summary, "leave it out, for every tool", at_key=True)
        kind = text_at(raw, "type")
        if "enforcement" in raw and kind == PolicyType.NOTIFICATION:
            summary = "spec.enforcement does not apply to policies of type notification: they stop nothing"
            yield Problem(("enforcement",), "invalid-value", summary, "leave it out", at_key=True)
        if "authorCounts" in raw and kind not in (None, PolicyType.APPROVAL):
            summary = f"spec.authorCounts is for policies of type approval; this one has type {kind}"
            yield Problem(("authorCounts",), "invalid-value", summary, "leave it out", at_key=True)

    def attachments(self) -> Iterable[tuple[Path, str]]:
        """Return the rule's file, if it has one."""
        return () if self.rego_file is None else ((("regoFile",), self.rego_file),)
