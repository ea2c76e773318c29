"""The main job from outside: what is merged is applied, and nothing else is touched."""

from __future__ import annotations

import pytest

from tests.e2e.station import Repo, Station, a_script, a_terraform, document

pytestmark = pytest.mark.usefixtures("terraform")

MAIN = """
    variable "size" {
      type    = string
      default = "small"
    }
    module "part" {
      source = "../modules/part"
    }
    resource "terraform_data" "it" {
      input = "one ${var.size}"
    }
    output "it" {
      value = terraform_data.it.output
    }
"""
PART = 'resource "terraform_data" "part" {\n  input = "first"\n}\n'

FILES = {
    "space.yaml": document("Space", "platform", {}),
    "common.yaml": document("Context", "common", {"env": {"TF_VAR_size": "small"}}),
    "network.yaml": a_terraform("network", "./network", contexts=["common"]),
    "network/main.tf": MAIN,
    "modules/part/main.tf": PART,
    "note.yaml": a_script("note", "echo noted"),
    "README.md": "Nothing that counts.\n",
}
NETWORK, NOTE = "platform/network", "platform/note"


def test_from_a_merge_to_applied_infrastructure_and_nothing_twice(repo: Repo, station: Station) -> None:
    starts = station.shim("terraform")
    repo.commit(FILES)
    first = station.reconcile()
    assert (first.code, first.sync) == (0, {NETWORK: "Synced", NOTE: "Synced"})
    assert first.ran == {NETWORK: "finished", NOTE: "finished"}
    assert first.why(NETWORK) == ["spec: new stack"]
    assert {"create": 2, "update": 0, "delete": 0, "replace": 0}.items() <= first.run(NETWORK)["changes"].items()
    assert "apply" in starts.read_text()

    starts.write_text("")
    assert station.reconcile().data["runs"] == []
    repo.commit({"README.md": "Still nothing.\n", "network.txt": "beside it"})
    unrelated = station.reconcile("--detailed-exitcode")
    assert (unrelated.code, unrelated.data["runs"]) == (0, [])
    assert unrelated.data["admittedRevision"] == repo.head()
    assert starts.read_text() == "", "a pass with nothing to do started terraform"

    repo.commit({"network/main.tf": MAIN.replace('"one', '"two')})
    changed = station.reconcile("--detailed-exitcode")
    assert (changed.code, changed.ran) == (2, {NETWORK: "finished"})
    assert changed.why(NETWORK) == ["source: 1 file under network"]
    assert changed.run(NETWORK)["changes"]["update"] == 1

    repo.commit({"modules/part/main.tf": PART.replace("first", "second")})
    module = station.reconcile()
    assert (module.ran, module.why(NETWORK)) == ({NETWORK: "finished"}, ["source: 1 file under modules/part"])

    repo.commit({"common.yaml": document("Context", "common", {"env": {"TF_VAR_size": "large"}})})
    context = station.reconcile()
    assert context.ran == {NETWORK: "finished"}
    assert context.why(NETWORK) == ["contexts: context platform/common: env TF_VAR_size"]
    outputs = station("stack", "outputs", NETWORK, "-o", "json").json
    assert [(output["name"], output["value"]) for output in outputs] == [("it", "two large")]


def test_a_moved_stack_takes_its_tfstate_and_history_along(repo: Repo, station: Station) -> None:
    starts = station.shim("terraform")
    repo.commit(FILES)
    station.reconcile()
    starts.write_text("")
    repo.commit(
        {
            "network.yaml": None,
            "live/space.yaml": document("Space", "live", {"inherit": True}),
            "net.yaml": a_terraform("net", "./network", contexts=["common"], space="live", movedFrom=NETWORK),
        }
    )
    moved = station.reconcile()
    assert moved.problems == ""
    assert (moved.code, moved.sync) == (0, {"live/net": "Synced", NOTE: "Synced"})
    assert (moved.data["runs"], starts.read_text()) == ([], ""), "a move alone starts nothing"
    history = station("stack", "history", "live/net", "-o", "json").json
    assert [(run["status"], run["stack"]) for run in history] == [("finished", "live/net")]

    repo.commit({"network/main.tf": MAIN.replace('"one', '"two')})
    after = station.reconcile()
    assert {"create": 0, "update": 1, "delete": 0, "replace": 0}.items() <= after.run("live/net")["changes"].items()


def test_a_removed_stack_is_retained_and_one_that_comes_back_finds_its_tfstate(repo: Repo, station: Station) -> None:
    starts = station.shim("terraform")
    repo.commit(FILES)
    station.reconcile()
    starts.write_text("")
    repo.commit({"network.yaml": None})
    removed = station.reconcile()
    assert (removed.code, removed.sync, removed.data["runs"]) == (0, {NOTE: "Synced"}, [])
    assert starts.read_text() == ""
    kept = station("stack", "get", NETWORK, "-o", "json").json
    assert kept["retained"] is True
    assert len(station("stack", "resources", NETWORK, "-o", "json").json) == 2

    repo.commit({"network.yaml": FILES["network.yaml"], "network/main.tf": MAIN.replace('"one', '"two')})
    back = station.reconcile()
    assert {"create": 0, "update": 1, "delete": 0, "replace": 0}.items() <= back.run(NETWORK)["changes"].items()


def test_what_is_broken_keeps_its_last_version_and_says_where(repo: Repo, station: Station) -> None:
    repo.commit(FILES)
    station.reconcile()
    repo.commit(
        {
            "network.yaml": "apiVersion: stationkeeper/v1\nkind: Stack\nmetadata: {name: [",
            "note.yaml": a_script("note", "echo again", autodeplou=True),
            "other.yaml": a_script("other", "echo other", contexts=["nowhere"]),
            "fine.yaml": a_script("fine", "echo fine"),
        }
    )
    broken = station.reconcile()
    assert broken.code == 1
    assert broken.ran == {"platform/fine": "finished"}
    assert broken.sync == {NETWORK: "Synced", NOTE: "Synced", "platform/fine": "Synced"}
    places = {(it["file"], it["line"]) for it in broken.data["diagnostics"] if it["severity"] == "error"}
    assert {file for file, _ in places} == {"network.yaml", "note.yaml", "other.yaml"}
    placed = [it for it in broken.data["diagnostics"] if it["code"] != "access-not-configured"]
    assert all(it["line"] >= 1 and it["column"] >= 1 for it in placed)
    assert any("autodeploy" in (it["hint"] or "") for it in broken.data["diagnostics"])
    text = station("reconcile")
    assert text.code == 1
    assert "other.yaml:" in text.out + text.err

    repo.commit({name: FILES.get(name) for name in ("network.yaml", "note.yaml", "other.yaml")})
    mended = station.reconcile()
    assert (mended.code, mended.problems, mended.data["runs"]) == (0, "", [])
