"""What the outputs of other stacks do to a stack's digest: the same output as before leaves it as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.core.reasons import Reason
from reconciler.core.state import OUTPUT_TO, Component, Desired, Fingerprint, Need, StackProblem
from spaces.names import StackId

_NONE = "none"
"""Stands for an output that there is not: no mark is written so."""


@dataclass(frozen=True, slots=True)
class ParentOutputs:
    """What a stack has to give: `marks` by output, each another one when the value is another."""

    marks: Mapping[str, str]
    in_sync: bool
    """Whether that is what its configuration asks for, so that an output that is missing will not come."""


NOTHING_YET = ParentOutputs({}, in_sync=False)


def linked(desired: Desired, stack: StackId, given: Mapping[StackId, ParentOutputs]) -> Desired:
    """Return what is desired with the outputs it uses in its digest; a missing one is a problem, and clears as one.

    What `desired` says of outputs already counts for nothing.
    """
    if not desired.needs:
        return desired
    items: dict[str, str] = {}
    missing: list[str] = []
    for need in desired.needs:
        parent = given.get(need.parent, NOTHING_YET)
        for output, variable in need.outputs.items():
            items[f"{need.parent} {output}{OUTPUT_TO}{variable}"] = parent.marks.get(output, _NONE)
            if parent.in_sync and output not in parent.marks:
                missing.append(missing_output(stack, need.parent, output, variable))
    components = dict(desired.fingerprint.own)
    if items:
        components[Component.DEPENDENCIES] = items
    marks = Fingerprint(components)
    problem = desired.problem
    if problem is not None and problem.reason == Reason.OUTPUT_MISSING:
        problem = None
    if problem is None and missing:
        problem = StackProblem(Reason.OUTPUT_MISSING, "; ".join(missing))
    return replace(desired, digest=marks.digest, fingerprint=marks, problem=problem)


def missing_output(stack: StackId, parent: StackId, output: str, variable: str) -> str:
    """Word that a stack has no such output, naming both ends."""
    return f"{parent} has no output {output}, which {stack} uses as {variable}"


def uses(desired: Desired, parent: StackId) -> Need | None:
    """Return what a stack takes of another."""
    return next((need for need in desired.needs if need.parent == parent), None)
