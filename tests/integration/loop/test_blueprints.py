"""Stacks that instances make, through the whole loop: they run, change, move on to other versions and leave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.station import Repo, a_script
from tests.integration.loop.machine import Machine


def document(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> str:
    return json.dumps(
        {"apiVersion": "stationkeeper/v1", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
    )


def blueprint(version: str, apply: str, *more: dict[str, Any], context: str = "info") -> str:
    stack = {
        "kind": "Stack",
        "metadata": {"name": "${{ inputs.app }}-web", "labels": {"app": "${{ inputs.app }}"}},
        "spec": {
            "tool": "script",
            "script": {"apply": apply},
            "env": {"SIZE": "${{ inputs.size }}"},
            "contexts": ["${{ context.name }}-shared"],
        },
    }
    shared = {
        "kind": "Context",
        "metadata": {"name": "${{ context.name }}-shared"},
        "spec": {"env": {"LEVEL": context}},
    }
    inputs = [
        {"name": "app", "required": True, "pattern": "[a-z]+"},
        {"name": "size", "type": "select", "options": ["s", "m"], "default": "s"},
    ]
    return document("Blueprint", "web", {"version": version, "inputs": inputs, "template": [stack, shared, *more]})


def instance(name: str, version: str = "1", **inputs: Any) -> str:
    return document("BlueprintInstance", name, {"blueprint": "web", "version": version, "inputs": inputs}, space="team")


BASE = {
    "team/space.yaml": document("Space", "team", {"inherit": True}),
    "web.yaml": blueprint("1", "echo $SIZE $LEVEL"),
    "shop.yaml": instance("shop", app="shop"),
}


@pytest.fixture
def made(repo: Repo, machine: Machine) -> Machine:
    repo.commit(BASE)
    look = machine.reconcile()
    assert (look.ran, look.sync, look.problems) == ({"team/shop-web": "finished"}, {"team/shop-web": "Synced"}, [])
    assert look.stacks["team/shop-web"].desired.labels == {"app": "shop"}  # type: ignore[union-attr]
    return machine


CASES = [
    pytest.param({"shop.yaml": instance("shop", app="shop", size="m")}, {"team/shop-web": "finished"}, {"team/shop-web": "Synced"}, ["blueprint: blueprint root/web: env SIZE"], [], id="an input"),
    pytest.param({"web2.yaml": blueprint("2", "echo two $SIZE"), "shop.yaml": instance("shop", "2", app="shop")}, {"team/shop-web": "finished"}, {"team/shop-web": "Synced"}, ["blueprint: blueprint root/web 1 -> 2: script.apply"], [], id="a version"),
    pytest.param({"web2.yaml": blueprint("2", "echo $SIZE $LEVEL"), "shop.yaml": instance("shop", "2", app="shop")}, {}, {"team/shop-web": "Synced"}, [], [], id="a version that changes nothing"),
    pytest.param({"web.yaml": blueprint("1", "echo $SIZE $LEVEL", context="debug")}, {"team/shop-web": "finished"}, {"team/shop-web": "Synced"}, ["contexts: context team/shop-shared: env LEVEL"], [], id="a made context"),
    pytest.param({"web2.yaml": blueprint("2", "echo two"), "blog.yaml": instance("blog", "2", app="blog")}, {"team/blog-web": "finished"}, {"team/shop-web": "Synced", "team/blog-web": "Synced"}, [], [], id="two versions side by side"),
    pytest.param({"web.yaml": "apiVersion: stationkeeper/v1\nkind: [\n"}, {}, {"team/shop-web": "Synced"}, [], ["web.yaml: error: yaml-syntax"], id="a broken blueprint"),
    pytest.param({"web.yaml": blueprint("1", "${{ inputs.ap }}")}, {}, {"team/shop-web": "Synced"}, [], ["web.yaml: error: invalid-expression"], id="a broken expression"),
    pytest.param({"web.yaml": None}, {}, {"team/shop-web": "Synced"}, [], ["shop.yaml: error: still-in-use"], id="a blueprint in use cannot leave"),
    pytest.param({"shop.yaml": instance("shop", "3", app="shop")}, {}, {"team/shop-web": "Synced"}, [], ["shop.yaml: error: unknown-version"], id="an unknown version"),
    pytest.param({"shop.yaml": instance("shop", app="Shop")}, {}, {"team/shop-web": "Synced"}, [], ["shop.yaml: error: invalid-input"], id="an invalid input"),
    pytest.param({"s.yaml": a_script("shop-web", "echo mine", space="team")}, {}, {"team/shop-web": "Synced"}, [], ["s.yaml: error: made-by-instance"], id="a name that is taken"),
    pytest.param({"shop.yaml": None}, {}, {}, [], [], id="the instance leaves"),
    pytest.param({"shop.yaml": None, "s.yaml": a_script("shop-web", "echo mine", space="team")}, {"team/shop-web": "finished"}, {"team/shop-web": "Synced"}, ["spec: script.apply added", "blueprint: blueprint root/web no longer used"], [], id="written by hand from now on"),
    pytest.param({"shop.yaml": instance("shop", app="mart")}, {"team/mart-web": "finished"}, {"team/mart-web": "Synced"}, [], [], id="another name"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "ran", "sync", "why", "problems"), CASES)
def test_what_comes_of_a_change(  # noqa: PLR0917
    repo: Repo,
    made: Machine,
    changed: dict[str, str | None],
    ran: dict[str, str],
    sync: dict[str, str],
    why: list[str],
    problems: list[str],
) -> None:
    repo.commit(changed)
    look = made.reconcile()
    assert (look.ran, look.sync, look.problems) == (ran, sync, problems)
    if why:
        told = look.why("team/shop-web")
        assert [each for each in told if not each.startswith("contexts") or len(why) == 1] == why
    made.restart()
    again = made.reconcile()
    assert (again.ran, again.sync, again.problems) == ({}, sync, problems)


def test_the_first_instance_and_its_blueprint_in_any_order(repo: Repo, machine: Machine) -> None:
    repo.commit({"shop.yaml": instance("shop", app="shop"), "team/space.yaml": BASE["team/space.yaml"]})
    assert machine.reconcile().problems == ["shop.yaml: error: unknown-blueprint"]
    repo.commit({"web.yaml": BASE["web.yaml"]})
    look = machine.reconcile()
    assert (look.ran, look.problems) == ({"team/shop-web": "finished"}, [])


def test_many_that_leave_at_once_are_held(repo: Repo, machine: Machine) -> None:
    fleet: dict[str, str | None] = {f"i{n}.yaml": instance(f"i{n}", app="abcdefgh"[n] * 3) for n in range(5)}
    repo.commit(BASE | fleet)
    assert len(machine.reconcile().ran) == 6
    repo.commit(dict.fromkeys(fleet))
    look = machine.reconcile()
    assert len(look.sync) == 6
    repo.commit({path: fleet[path] for path in list(fleet)[:2]})
    assert len(machine.reconcile().sync) == 6


def test_a_template_runs_what_lies_beside_it(repo: Repo, machine: Machine) -> None:
    stack = {
        "kind": "Stack",
        "metadata": {"name": "x"},
        "spec": {"tool": "script", "source": {"path": "code"}, "script": {"apply": "cat word"}},
    }
    files = {
        "team/space.yaml": BASE["team/space.yaml"],
        "lib/web.yaml": document("Blueprint", "web", {"version": "1", "template": [stack]}),
        "lib/code/word": "one",
        "team/i.yaml": instance("i"),
    }
    repo.commit(files)
    assert machine.reconcile().ran == {"team/x": "finished"}
    repo.commit({"lib/code/word": "two"})
    look = machine.reconcile()
    assert (look.ran, look.why("team/x")) == ({"team/x": "finished"}, ["source: 1 file under lib/code"])
    assert "two" in machine.log(look.runs[0])


def test_a_secret_input_reaches_the_run_and_no_log(
    repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets"
    (secrets / "team").mkdir(parents=True, mode=0o700)
    (secrets / "team" / "token").write_text("a-very-secret-word")
    (secrets / "team" / "token").chmod(0o600)
    stack = {
        "kind": "Stack",
        "metadata": {"name": "x"},
        "spec": {
            "tool": "script",
            "script": {"apply": f'echo "$TOKEN" > {tmp_path}/ran; echo "it is $TOKEN"'},
            "env": {"TOKEN": "${{ inputs.token }}"},
        },
    }
    inputs = [{"name": "token", "type": "secret", "required": True}]
    order = {"blueprint": "safe", "version": "1", "inputs": {"token": {"file": "token"}}}
    repo.commit(
        {
            "team/space.yaml": BASE["team/space.yaml"],
            "safe.yaml": document("Blueprint", "safe", {"version": "1", "inputs": inputs, "template": [stack]}),
            "team/i.yaml": document("BlueprintInstance", "i", order),
        }
    )
    machine = new_machine(repo.url, secrets_dir=secrets)
    look = machine.reconcile()
    assert (look.ran, look.problems) == ({"team/x": "finished"}, [])
    assert (tmp_path / "ran").read_text() == "a-very-secret-word\n"
    assert "a-very-secret-word" not in machine.log(look.runs[0])
