"""Stacks with dependencies: one commit, and the end of a run whose outputs others use, by the number of stacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from bench.harness import Figure, alternate, timed
from bench.installations import Installation, installation
from bench.repositories import Repository
from reconciler.core.results import Output
from reconciler.loop.service import utc_now
from reconciler.runs.outputs import pass_on_outputs, relink
from spaces.names import ROOT, StackId
from tests.factories import record_results

ROUNDS = 5
BELOW = 10
"""The number of direct dependents of each stack that has any."""


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure 10,000 stacks against 1,000 in a tree, with ten dependents below each parent."""
    with ExitStack() as stacked:
        small = Tree(stacked, scratch / "small", 1000)
        large = Tree(stacked, scratch / "large", 10_000)
        commit_small, commit = alternate(ROUNDS, small.commit, large.commit)
        output_small, output = alternate(ROUNDS, small.output, large.output)
    against = "1,000 stacks"
    yield Figure("one commit, 10,000 stacks in a tree", commit * 1e3, "ms", commit_small * 1e3, against, 3)
    yield Figure("an output that 10 of 10,000 stacks use", output * 1e3, "ms", output_small * 1e3, against, 3)


class Tree:
    """One installation in which every stack is in sync."""

    def __init__(self, stacked: ExitStack, scratch: Path, stacks: int) -> None:
        scratch.mkdir()
        self._repository = Repository.create(scratch / "config.git")
        self._repository.commit({f"s{number}.yaml": _stack(number) for number in range(stacks)})
        self._installation: Installation = stacked.enter_context(installation(self._repository.url, scratch / "data"))
        self._installation.service.loop.look()
        with self._installation.service.store.writing() as transaction:
            for number in range(stacks // BELOW):
                record_results(transaction, StackId(ROOT, f"s{number}"), None, [Output("x", 0)])
            transaction.put_stacks(relink(transaction, transaction.stacks()).values())
        if self._installation.settle() != stacks:
            raise AssertionError("the repository was not taken in whole")
        self._numbers = count(1)

    def commit(self) -> float:
        """Change one stack that ten others depend on."""
        number = next(self._numbers)
        self._repository.commit({f"s{number}.yaml": _stack(number, "echo changed")})
        seconds, _ = self._installation.decide()
        if self._installation.settle() != 1:
            raise AssertionError("more than one stack had a run")
        return seconds

    def output(self) -> float:
        """Record another value of an output that ten stacks use."""
        stack = StackId(ROOT, f"s{next(self._numbers)}")
        value = Output("x", next(self._numbers))

        def record() -> None:
            with self._installation.service.store.writing() as transaction:
                record_results(transaction, stack, None, [value])
                pass_on_outputs(transaction, [stack], utc_now())
                transaction.wake_dependents([stack], utc_now())

        return timed(record)


def _stack(number: int, apply: str = "echo") -> bytes:
    needs = f"\n  dependsOn: [{{stack: s{(number - 1) // BELOW}, outputs: {{x: X}}}}]" if number else ""
    return (
        "apiVersion: stationkeeper/v1\nkind: Stack\n"
        f"metadata: {{name: s{number}}}\nspec:\n  tool: script\n  script: {{apply: {apply}}}{needs}\n"
    ).encode()
