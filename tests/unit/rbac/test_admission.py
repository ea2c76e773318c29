from __future__ import annotations

import pytest

from rbac.admission import Commit, Halted, HaltReason, admit
from spaces.in_force import InForce
from spaces.names import Revision
from tests.unit.spaces.builders import BROKEN, context, many, names, stack

A = {"a.yaml": context("a")}
TWO = {"a.yaml": context("a"), "b.yaml": context("b")}


def walk(*commits: dict[str, bytes | None]) -> list[InForce | Halted]:
    """Judge one commit after the other; what is halted is passed over, and the next compared with what stayed."""
    here: InForce | None = None
    judged: list[InForce | Halted] = []
    pending: dict[str, bytes | None] = {}
    for number, changed in enumerate(commits):
        pending = {**pending, **changed}
        result = admit(here, Commit(Revision(f"r{number}"), pending))
        judged.append(result)
        if isinstance(result, InForce):
            here, pending = result, {}
    return judged


@pytest.mark.parametrize(
    ("commits", "expected"),
    [
        pytest.param([A], [{"Context root/a"}], id="the first is trusted whole"),
        pytest.param([{}], [set()], id="an empty first one"),
        pytest.param([{}, A], [set(), {"Context root/a"}], id="documents come later"),
        pytest.param([{}, {"README.md": b"x"}], [set(), set()], id="never any documents"),
        pytest.param(
            [TWO, {"b.yaml": None}], [{"Context root/a", "Context root/b"}, {"Context root/a"}], id="one leaves"
        ),
        pytest.param([A, {"a.yaml": None}], [{"Context root/a"}, None], id="the only one leaves"),
        pytest.param(
            [TWO, {"a.yaml": None, "b.yaml": None}], [{"Context root/a", "Context root/b"}, None], id="all leave"
        ),
        pytest.param(
            [TWO, {"a.yaml": None, "b.yaml": None}, {"b.yaml": TWO["b.yaml"]}],
            [{"Context root/a", "Context root/b"}, None, {"Context root/b"}],
            id="and one comes back",
        ),
        pytest.param(
            [TWO, {"a.yaml": None, "b.yaml": None}, {"c.yaml": context("c")}],
            [{"Context root/a", "Context root/b"}, None, {"Context root/c"}],
            id="and another comes",
        ),
        pytest.param(
            [A, {"a.yaml": BROKEN}], [{"Context root/a"}, {"Context root/a"}], id="all broken is not all gone"
        ),
        pytest.param(
            [A, {"a.yaml": BROKEN}, {"a.yaml": None}],
            [{"Context root/a"}, {"Context root/a"}, None],
            id="a broken one that leaves still was the last",
        ),
        pytest.param([{"a.yaml": BROKEN}], [set()], id="broken from the start"),
        pytest.param(
            [{"a.yaml": BROKEN}, {"a.yaml": None}],
            [set(), set()],
            id="what never was in force may leave",
        ),
    ],
)
def test_a_walk_over_commits(commits: list[dict[str, bytes | None]], expected: list[set[str] | None]) -> None:
    judged = [
        None if isinstance(it, Halted) else names(it) - {"Space root/root", "Space root"} for it in walk(*commits)
    ]
    assert judged == expected


def test_a_halt_says_which_commit_and_that_all_stays() -> None:
    halted = walk(A, {"a.yaml": None})[-1]
    assert isinstance(halted, Halted)
    assert (halted.reason, halted.revision) == (HaltReason.BRANCH_EMPTIED, "r1")
    assert "r1" in halted.message
    assert "stays" in halted.message


def test_the_revision_of_each_admitted_commit_is_in_force() -> None:
    judged = walk({"s.yaml": many(stack("s"), context("c"))}, {"README.md": b"x"})
    assert [it.revision for it in judged] == ["r0", "r1"]
