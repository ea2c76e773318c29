"""What the outputs of other stacks do to a stack's digest: the same output as before leaves it as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunKind
from reconciler.core.state import OUTPUT_TO, Component, Desired, Fingerprint, Need, StackProblem, StackState
from spaces.model.dependency import OutputUse
from spaces.names import StackId

_NONE = "none"
"""Stands for an output that there is not: no mark is written so."""


@dataclass(frozen=True, slots=True)
class ParentOutputs:
    """What a stack has to give: `marks` by output, each another one when the value is another."""

    marks: Mapping[str, str]
    in_sync: bool
    """Whether that is what its configuration asks for, so that an output that is missing will not come."""
    changed: str | None = None
    """The last run that applied something there."""


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
        if need.always:
            items[f"{need.parent} applied"] = parent.changed or _NONE
        for output, use in need.outputs.items():
            for place in use.places:
                items[f"{need.parent} {output}{OUTPUT_TO}{place}"] = parent.marks.get(output, _NONE)
            if parent.in_sync and output not in parent.marks:
                missing.append(missing_output(stack, need.parent, output, use))
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


def missing_output(stack: StackId, parent: StackId, output: str, use: OutputUse) -> str:
    """Word that a stack has no such output, naming both ends."""
    return f"{parent} has no output {output}, which {stack} uses as {' and '.join(use.places)}"


def previews_ahead(desired: Desired) -> bool:
    """Whether a plan that is only looked at need not wait for the stacks above.

    That is so where something stands in for each output that may be missing.
    """
    uses = [use for need in desired.needs for use in need.outputs.values()]
    return bool(uses) and all(use.preview_as is not None for use in uses)


def may_go_ahead(run: Run, state: StackState | None) -> bool:
    """Whether a run need not wait for the stacks above: it only plans, and its stack says what stands in for them."""
    desired = state.desired if state is not None else None
    return run.kind is RunKind.PROPOSED and desired is not None and previews_ahead(desired)


def stood_in(run: Run) -> tuple[str, ...]:
    """Return the outputs that a plan did not have, in words: `previewAs` stood in for them."""
    items = run.fingerprint.components.get(Component.DEPENDENCIES, {})
    absent = (
        item.partition(OUTPUT_TO)[0].split(" ") for item, mark in items.items() if mark == _NONE and OUTPUT_TO in item
    )
    return tuple(dict.fromkeys(f"{output} of {parent}" for parent, output in absent))


def uses(desired: Desired, parent: StackId) -> Need | None:
    """Return what a stack takes of another."""
    return next((need for need in desired.needs if need.parent == parent), None)
