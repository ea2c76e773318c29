"""Stacks that move: what was applied goes along, whatever happens between two looks."""

from __future__ import annotations

import pytest

from tests.e2e.station import Repo, a_script
from tests.integration.loop.machine import Machine, moved

Files = dict[str, str | None]


@pytest.mark.parametrize(
    ("commits", "places"),
    [
        pytest.param([{"a.yaml": moved("b", "a")}], {"root/b": "a"}, id="once"),
        pytest.param([{"a.yaml": moved("b", "a")}, {"a.yaml": moved("c", "b", "a")}], {"root/c": "a"}, id="twice"),
        pytest.param([{"a.yaml": moved("b", "a")}, {"a.yaml": moved("a", "b", "a")}], {"root/a": "a"}, id="and back"),
        pytest.param(
            [{"z.yaml": moved("c", "z")}, {"z.yaml": a_script("c", "echo z"), "a.yaml": moved("z", "a")}], {"root/c": "z", "root/z": "a"},
            id="one makes way for another",
        ),
        pytest.param(
            [{"a.yaml": moved("b", "a")}, {"a.yaml": a_script("b", "echo a")}], {"root/b": "a"}, id="and forgets from where"
        ),
        pytest.param([{"a.yaml": None}, {"b.yaml": moved("b", "a")}], {"root/b": "a"}, id="after a while of absence"),
        pytest.param(
            [{"a.yaml": moved("b", "a"), "z.yaml": moved("y", "z")}], {"root/b": "a", "root/y": "z"}, id="two at once"
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("looks", ["one look", "a look each"])
def test_what_was_applied_goes_along(
    repo: Repo, machine: Machine, commits: list[Files], places: dict[str, str], looks: str
) -> None:
    repo.commit({"a.yaml": a_script("a", "echo a"), "z.yaml": a_script("z", "echo z")})
    before = machine.reconcile()
    runs = {name: before.stacks[f"root/{name}"].applied.run for name in "az"}  # type: ignore[union-attr]
    made = []
    for commit in commits:
        repo.commit(commit)
        if looks == "a look each":
            made += machine.reconcile().runs
    look = machine.reconcile()
    assert [*made, *look.runs] == []
    assert set(look.sync.values()) == {"Synced"}
    assert {name: look.stacks[name].applied.run for name in places} == {  # type: ignore[union-attr]
        name: runs[origin] for name, origin in places.items()
    }
    assert len(look.stacks) == 2, "something was left behind under an old name"


def test_nothing_moves_onto_what_another_left_behind(repo: Repo, machine: Machine) -> None:
    repo.commit({"a.yaml": a_script("a", "echo a"), "b.yaml": a_script("b", "echo b")})
    machine.reconcile()
    repo.commit({"b.yaml": None})
    machine.reconcile()
    repo.commit({"a.yaml": moved("b", "a")})
    for restarted, commit in (
        (False, {}),
        (True, {}),
        (False, {"x.md": "x"}),
        (False, {"a.yaml": moved("b", "a", "more")}),
    ):
        if restarted:
            machine.restart()
        if commit:
            repo.commit(commit)
        look = machine.reconcile()
        assert (look.runs, look.sync, look.stacks["root/b"].reason) == ([], {"root/b": "Unknown"}, "MoveBlocked")
        assert look.stacks["root/a"].applied is not None
    repo.commit({"a.yaml": moved("c", "a")})
    look = machine.reconcile()
    assert (look.runs, look.sync) == ([], {"root/c": "Synced"})


def test_a_stack_that_moved_from_none_that_anybody_knows_is_told(repo: Repo, machine: Machine) -> None:
    repo.commit({"a.yaml": a_script("var", "echo a"), "old.yaml": moved("old", "ancient")})
    assert machine.reconcile().problems == [], "what happened before anybody looked is not known"
    repo.commit({"a.yaml": moved("b", "vra")})
    for _ in range(2):
        machine.reconcile()
        told = [it for it in machine.look().configuration.diagnostics if it["code"] == "moved-from-unknown"]
        assert [(it["severity"], it["file"], it["line"], it["hint"]) for it in told] == [
            ("warning", "a.yaml", 3, "did you mean root/var?")
        ]
    repo.commit({"a.yaml": moved("c", "b")})
    assert machine.reconcile().problems == []
