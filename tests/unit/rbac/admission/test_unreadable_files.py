"""A new file of which nobody can tell what documents it holds: it is held, and its author sees that."""

import pytest

from rbac.admission.held import HeldChange
from rbac.admission.held_diff import held_diff
from tests.unit.rbac.admission.test_rights import ROOT_ADMINS, begin, binding, go, people
from tests.unit.spaces.builders import space, stack

FILES = {
    "p/space.yaml": space("p"),
    "p/admins.yaml": binding("carol", "admin", "user:carol"),
    "users.yaml": people("carol", "mallory"),
}


@pytest.mark.parametrize(
    "data",
    [b"apiVersion: stationkeeper/v1\nkind: [", b"# \xff\napiVersion: stationkeeper/v1\n"],
    ids=["broken YAML", "no UTF-8"],
)
@pytest.mark.parametrize(
    ("who", "because", "words"),
    [
        ("carol", "broken", ""),
        ("mallory", "no-right", "user:mallory may not create p/new.yaml: user:mallory has no role that allows "),
    ],
    ids=["with the right", "without it"],
)
def test_who_adds_a_file_that_is_no_yaml_sees_it_held(who, because, words, data):
    after = go(begin(FILES), who, {"p/new.yaml": data}, "r1", ROOT_ADMINS)
    (change,) = after.held_changes
    shown = change.to_json()
    assert (shown["kind"], shown["space"], shown["name"], shown["person"]) == ("File", "p", "new.yaml", f"user:{who}")
    assert (shown["because"], shown["message"][: len(words)]) == (because, words)
    assert (shown["file"], change.what) == ("p/new.yaml", "File p/new.yaml")
    assert any(told in shown["message"] for told in ("not valid YAML: ", "the file is not UTF-8"))
    assert HeldChange.from_record(change.to_record()) == change
    assert "+apiVersion: stationkeeper/v1\n" in held_diff(after.held, change.id)
    assert go(after, "carol", {"p/new.yaml": stack("new")}, "r2", ROOT_ADMINS).held_changes == ()


def test_what_another_tool_reads_is_left_alone():
    assert (
        go(begin(FILES), "carol", {"p/chart.yaml": b"{{- if .Values.on }}\nkind: X\n{{- end }}\n"}).held_changes == ()
    )
