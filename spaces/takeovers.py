"""Variables in documents that take over what runs: who sets them needs a right of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spaces.diagnostics import Diagnostic, Severity
from spaces.model.configuration import Configuration
from spaces.placed import Placed
from spaces.variables import Variable, variable


def takeovers(placed: Placed | None) -> dict[str, object]:
    """Give the variables of a document that take over what runs, with their values."""
    spec = placed.resource.spec if placed is not None else None
    if not isinstance(spec, Configuration):
        return {}
    return {name: value for name, value in spec.env.items() if variable(name) is Variable.TAKES_OVER}


def warnings(documents: Iterable[Placed]) -> Iterator[Diagnostic]:
    """Say of each such variable what else it takes: only the service and its operator know whether that is there."""
    for placed in documents:
        for name in takeovers(placed):
            yield Diagnostic(
                Severity.WARNING,
                "env-takes-over",
                f"spec.env.{name} takes over what runs",
                f"whoever merges it needs env:takeover in {placed.ref.space}, and the operator has to name it in the "
                "setting env_takeover_allowed",
                placed.resource.position(("spec", "env", name)),
            )
