"""`station diff` where what is merged into is not in order itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.keeping import StackPin
from reconciler.store.sql import SqlStore
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, document
from tests.factories import NOW, OTHER_REVISION, a_stack
from tests.integration.cli.conftest import Station

BROKEN_CONTEXT = document("Context", "common", {"environment": {"A": "a"}})


@pytest.fixture
def clone(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "clone")
    made.commit({"c.yaml": document("Context", "common", {}), "a.yaml": a_script("a", "true", contexts=["common"])})
    return made


def _diff(station: Station, clone: Repo) -> tuple[int, Any]:
    result = station("diff", "--repository", clone.path, "--base", "HEAD^", "-o", "json")
    return result.code, json.loads(result.out)


def test_an_end_that_has_passed_is_a_warning(station: Station, clone: Repo) -> None:
    clone.commit({"b.yaml": a_script("b", "true", destroy="true", destroyAt="2020-01-01T00:00:00Z")})
    code, found = _diff(station, clone)
    assert (code, [told["code"] for told in found["diagnostics"]]) == (2, ["ends-in-the-past"])


def test_a_base_in_order_is_not_spoken_of(station: Station, clone: Repo) -> None:
    clone.commit({"b.yaml": a_script("b", "true", contexts=["common"])})
    code, found = _diff(station, clone)
    assert (code, found["diagnostics"]) == (2, [])


def test_a_base_with_errors_is_told_beside_what_is_broken(station: Station, clone: Repo) -> None:
    clone.commit({"c.yaml": BROKEN_CONTEXT})
    clone.commit({"b.yaml": a_script("b", "true", contexts=["common"])})
    code, found = _diff(station, clone)
    assert code == 1
    assert sorted((told["severity"], told["code"], told["file"]) for told in found["diagnostics"]) == [
        ("error", "needs-broken", "a.yaml"),
        ("error", "needs-broken", "b.yaml"),
        ("error", "unknown-key", "c.yaml"),
        ("warning", "base-has-errors", None),
    ]


def test_a_document_that_cannot_be_read_any_more_is_an_error_and_stays(station: Station, clone: Repo) -> None:
    clone.commit({"a.yaml": "<<<<<<< HEAD\nspec: {a: 1}\n=======\nspec: [\n>>>>>>> other\n"})
    code, found = _diff(station, clone)
    assert (code, found["documents"], found["stacks"]) == (1, [], [])
    assert [told["code"] for told in found["diagnostics"]] == ["unreadable-file"]


def test_what_leaves_with_an_emptied_file_is_a_warning(station: Station, clone: Repo) -> None:
    clone.commit({"a.yaml": ""})
    code, found = _diff(station, clone)
    assert code == 2
    assert [(each["id"], each["action"]) for each in found["stacks"]] == [("root/a", "retain")]
    assert [told["code"] for told in found["diagnostics"]] == ["documents-left"]


def test_what_contexts_mean_for_each_stack_that_has_them(station: Station, tmp_path: Path) -> None:
    web = {"matchLabels": {"tier": "web"}}
    clone = Repo(
        tmp_path / "contexts",
        {
            "level.yaml": document("Context", "level", {"attach": web, "env": {"LEVEL": "1", "MORE": "1"}}),
            "trust.yaml": document("Context", "trust", {"attach": web, "files": {"ca.pem": {"source": "./ca.pem"}}}),
            "ca.pem": "one\n",
            "web.yaml": a_script("web", "true", labels={"tier": "web"}),
            "shop.yaml": a_script("shop", "true", labels={"tier": "web"}, env={"LEVEL": "own"}),
            "db.yaml": a_script("db", "true"),
        },
    )

    def why(files: dict[str, str | None]) -> dict[str, list[str]]:
        clone.commit(files)
        found = _diff(station, clone)[1]
        assert found["diagnostics"] == []
        return {each["id"]: [it["summary"] for it in each["why"]] for each in found["stacks"]}

    level = {"attach": web, "env": {"LEVEL": "2", "MORE": "1"}}
    assert why({"level.yaml": document("Context", "level", level)}) == {
        "root/web": ["context root/level: env LEVEL"],
    }
    assert why({"ca.pem": "two\n"}) == {
        "root/shop": ["context root/trust: file ca.pem"],
        "root/web": ["context root/trust: file ca.pem"],
    }
    assert why({"db.yaml": a_script("db", "true", labels={"tier": "web"})}) == {
        "root/db": [
            "context root/level now used: env LEVEL, env MORE",
            "context root/trust now used: file ca.pem",
        ]
    }
    assert why({"trust.yaml": None, "shop.yaml": a_script("shop", "true")}) == {
        "root/db": ["context root/trust no longer used"],
        "root/shop": [
            "env LEVEL removed",
            "context root/level no longer used",
            "context root/trust no longer used",
        ],
        "root/web": ["context root/trust no longer used"],
    }


def needs(name: str, *dependencies: Any) -> str:
    return a_script(name, "true", dependsOn=list(dependencies))


def uses(stack: str, *outputs: str) -> dict[str, Any]:
    return {"stack": stack, "outputs": {output: output.upper() for output in outputs}}


def test_the_stacks_that_may_follow_are_listed_with_what_they_follow(station: Station, tmp_path: Path) -> None:
    clone = Repo(tmp_path / "graph")
    clone.commit(
        {
            "net.yaml": a_script("net", "true"),
            "app.yaml": needs("app", uses("net", "vpc")),
            "web.yaml": needs("web", uses("app", "url", "port"), "net"),
            "own.yaml": needs("own", "net"),
            "far.yaml": needs("far", "web"),
            "z.yaml": a_script("z", "true"),
        }
    )
    clone.commit({"net.yaml": a_script("net", "false"), "own.yaml": needs("own", uses("net", "vpc"))})
    code, found = _diff(station, clone)
    assert (code, found["diagnostics"]) == (2, [])
    assert [(each["id"], each["action"], [why["summary"] for why in each["why"]]) for each in found["stacks"]] == [
        ("root/app", "follow", ["root/net runs before it; it runs after if output vpc changes"]),
        ("root/far", "follow", ["root/web may run before it; it uses no output of it"]),
        ("root/net", "update", ["script.apply"]),
        ("root/own", "update", ["dependency root/net: output vpc added"]),
        ("root/web", "follow", [
            "root/app may run before it; it runs after if one of the outputs port, url changes",
            "root/net runs before it; it uses no output of it",
        ]),
    ]  # fmt: skip
    assert {why["component"] for each in found["stacks"] if each["action"] == "follow" for why in each["why"]} == {
        "dependencies"
    }
    shown = station("diff", "--repository", clone.path, "--base", "HEAD^").out
    assert "? root/app: dependencies: root/net runs before it; it runs after if output vpc changes" in shown


def test_a_parent_that_is_renamed_changes_nothing_of_its_children(station: Station, tmp_path: Path) -> None:
    clone = Repo(tmp_path / "graph")
    clone.commit({"net.yaml": a_script("net", "true"), "app.yaml": needs("app", uses("net", "vpc"))})
    clone.commit(
        {
            "net.yaml": a_script("core", "true", movedFrom="root/net"),
            "app.yaml": needs("app", uses("core", "vpc")),
        }
    )
    _, found = _diff(station, clone)
    assert [(each["id"], each["action"]) for each in found["stacks"]] == [("root/core", "move")]


def test_a_stack_that_moves_from_none_that_is_in_force_is_a_warning(station: Station, clone: Repo) -> None:
    clone.commit({"a.yaml": a_script("www", "true", contexts=["common"], movedFrom="root/aa")})
    code, found = _diff(station, clone)
    told = [(it["severity"], it["code"], it["file"], it["hint"]) for it in found["diagnostics"]]
    assert (code, told) == (2, [("warning", "moved-from-unknown", "a.yaml", "did you mean root/a?")])


def test_pinned_stacks_say_what_becomes_of_their_pin(remote: Station, store: SqlStore, clone: Repo) -> None:
    names = [StackId.parse(f"root/{name}") for name in ("a", "b")]
    pin = StackPin(OTHER_REVISION, "mark", None, None, "user:ada", "it is slow", NOW, None)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(name) for name in names])
        for name in names:
            transaction.put_pin(name, pin)
    clone.commit({"b.yaml": a_script("b", "true", contexts=["common"])})
    common = document("Context", "common", {"env": {"A": "1"}})
    clone.commit({"c.yaml": common, "b.yaml": a_script("b", "echo", contexts=["common"])})
    _, found = _diff(remote, clone)
    assert {each["id"]: each["pin"] and each["pin"]["ends"] for each in found["stacks"]} == {
        "root/a": False,
        "root/b": True,
    }
    said = remote("diff", "--repository", clone.path, "--base", "HEAD^").out
    assert f"it is pinned to {OTHER_REVISION[:12]} by user:ada (it is slow): this merge changes it" in said
