"""The diff of a held change: its document alone, in force against the branch."""

from __future__ import annotations

from rbac.admission.held_diff import held_diff
from tests.unit.rbac.admission.test_duplicates import BASE, HOME, History
from tests.unit.spaces.builders import many, stack


def test_it_shows_the_held_document_and_no_other_of_its_file():
    it = History(BASE | {HOME: many(stack("web", env={"A": "1"}), stack("db"))})
    it.commit("mallory", {HOME: many(stack("web", env={"A": "evil"}), stack("db"), stack("more"))})
    found = {str(each.ref): held_diff(it.here.held, each.id) for each in it.here.held_changes}
    changed = [line for line in found["Stack team/web"].splitlines() if line[0] in "+-"]
    assert changed[:2] == [f"--- in force/{HOME}", f"+++ branch/{HOME}"]
    assert ("evil" in changed[3], len(changed)) == (True, 4)
    assert all(line[0] in "+@" or line.startswith("---") for line in found["Stack team/more"].splitlines())
    assert "db" not in "".join(found.values())


def test_what_is_not_held_has_none():
    assert held_diff(History(BASE).here.held, "unknown") is None
