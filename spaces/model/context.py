"""The Context: configuration that several stacks share, by naming it or by their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from spaces.model.base import LabelKey, LabelValue, Model, Problem
from spaces.model.configuration import Configuration


class AttachTo(Model):
    """Which stacks get a context without naming it, of those in its space and in the spaces that inherit from it."""

    match_labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Labels that a stack must have, all of them; left out: every stack."
    )

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Say whether a stack with these labels is meant."""
        return self.match_labels.items() <= labels.items()


class ContextSpec(Configuration):
    """Environment, files and hooks for every stack that names this context or has its labels."""

    attach: AttachTo | None = Field(
        None, description="Stacks that get it without naming it; left out: only those that name it."
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Give what is wrong with the configuration, and an empty `attach:`, which could be taken for all."""
        yield from super().problems(raw)
        if "attach" in raw and raw["attach"] is None:
            hint = "{} means every stack; leave it out for only those that name the context"
            yield Problem(("attach",), "wrong-type", "spec.attach must be a mapping, is null", hint, at_key=True)
