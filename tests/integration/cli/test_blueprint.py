"""Blueprints by the command line and the API: what they ask for, what they make, and who gets to know."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reconciler.web.ports import Ports
from spaces.validate import examine_files
from tests.e2e.station import Repo, document
from tests.integration.cli.conftest import Station
from tests.integration.web.client import Client
from tests.integration.web.warm import WarmApp

STACK: dict[str, Any] = {
    "kind": "Stack",
    "metadata": {"name": "${{ inputs.app }}-web"},
    "spec": {
        "tool": "script",
        "script": {"apply": "deploy"},
        "env": {"SIZE": "${{ inputs.size }}", "COUNT": "${{ string(10 / inputs.count) }}"},
        "timeout": "1h",
        "suspended": "${{ !inputs.on }}",
    },
}
INPUTS = [
    {"name": "app", "required": True, "pattern": "[a-z]+", "description": "What it is called"},
    {"name": "size", "type": "select", "options": ["s", "m"], "default": "s"},
    {"name": "count", "type": "number", "default": 1, "min": 0, "max": 9},
    {"name": "on", "type": "boolean", "default": True},
]


def blueprint(version: str, apply: str = "deploy", **spec: Any) -> str:
    stack = STACK | {"spec": STACK["spec"] | {"script": {"apply": apply}}}
    return document(
        "Blueprint", "web", {"version": version, "inputs": INPUTS, "template": [stack], **spec}, space="platform"
    )


def instance(version: str = "1", **inputs: Any) -> str:
    return document(
        "BlueprintInstance", "shop", {"blueprint": "web", "version": version, "inputs": inputs}, space="production"
    )


FILES = {
    "spaces.yaml": document("Space", "platform", {})
    + "---\n"
    + document("Space", "production", {"parent": "platform", "inherit": True}),
    "web.yaml": blueprint("1") + "---\n" + blueprint("10", "deploy ten") + "---\n" + blueprint("9"),
    "shop.yaml": instance(app="shop", size="m"),
}


@pytest.fixture
def app(ports: Ports) -> WarmApp:
    found = examine_files({path: text.encode() for path, text in FILES.items()})
    assert found.diagnostics == ()
    return WarmApp(replace(ports, documents=lambda: found.documents))


@pytest.fixture
def in_process(app: WarmApp, station: Station, monkeypatch: pytest.MonkeyPatch) -> Station:
    monkeypatch.setattr("reconciler.local.local_app", lambda settings: app)
    return station


def test_inputs_of_the_newest_version(remote: Station) -> None:
    found = remote("blueprint", "inputs", "platform/web")
    assert (found.code, found.err) == (0, "")
    lines = found.out.splitlines()
    assert lines[0] == "platform/web version 10 (of 1, 9, 10)"
    assert [" ".join(line.split()) for line in lines[3:]] == [
        "app string yes [a-z]+ What it is called",
        "size select no s s|m",
        "count number no 1 from 0, to 9".replace(",", ""),
        "on boolean no yes",
    ]
    data = json.loads(remote("blueprint", "inputs", "web", "--version", "1", "-o", "json").out)
    assert (data["version"], data["versions"], [each["name"] for each in data["inputs"]]) == (
        "1",
        ["1", "9", "10"],
        ["app", "size", "count", "on"],
    )


def documents(text: str) -> list[dict[str, Any]]:
    return [each for each in YAML(typ="safe").load_all(text) if each]


def test_rendering_gives_documents_that_could_be_committed(remote: Station) -> None:
    found = remote(
        "blueprint",
        "render",
        "web",
        "--version",
        "1",
        "--input",
        "app=blog",
        "--input",
        "count=5",
        "--input",
        "on=false",
        "-s",
        "production",
    )
    assert (found.code, found.err) == (0, "")
    (stack,) = documents(found.out)
    assert stack["metadata"] == {"name": "blog-web", "space": "production"}
    assert stack["spec"]["env"] == {"SIZE": "s", "COUNT": "2"}
    assert (stack["spec"]["suspended"], stack["spec"]["timeout"]) == (True, "1h")
    assert examine_files({"spaces.yaml": FILES["spaces.yaml"].encode(), "s.yaml": found.out.encode()}).diagnostics == ()


def test_rendering_what_an_instance_in_force_makes(remote: Station) -> None:
    found = remote("blueprint", "render", "--instance", "production/shop")
    assert documents(found.out)[0]["spec"]["env"] == {"SIZE": "m", "COUNT": "10"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["web", "--input", "app=Blog🛰", "--input", "sise=m", "--input", "count=x"], ["the input app Blog🛰 does not match [a-z]+", "has no input sise (did you mean size?)", "the input count must be a number, is text"]),
        (["web"], ["the input app of blueprint platform/web version 10 is missing"]),
        (["web", "--input", "app=a", "--input", "count=0"], ["OTHER; in the template at web.yaml:"]),
        (["web", "--input", "app"], ["write NAME=VALUE"]),
        (["web", "--version", "2", "--input", "app=a"], ["there is no blueprint platform/web version 2"]),
        (["wob"], ["there is no blueprint wob"]),
        (["platform/wob"], ["there is no blueprint platform/wob"]),
        (["web", "--input", "app=a", "-s", "nowhere"], ["there is no space nowhere"]),
        (["web", "--input", "app=a", "--name", "No!"], ["metadata.name is not a name"]),
        ([], ["name either a BLUEPRINT"]),
        (["--instance", "production/other"], ["there is no blueprint instance production/other in force"]),
        (["--instance", "other"], ["write space/name"]),
    ],
)  # fmt: skip
def test_bad_input(remote: Station, arguments: list[str], told: list[str]) -> None:
    found = remote("blueprint", "render", *arguments)
    assert found.code == 1
    assert all(each in found.err for each in told)
    assert "Traceback" not in found.err


def test_secrets_are_references(ports: Ports) -> None:
    secret = document(
        "Blueprint", "safe",
        {"version": "1", "inputs": [{"name": "token", "type": "secret", "required": True}], "template": [{"kind": "Context", "metadata": {"name": "x"}, "spec": {"env": {"T": "${{ inputs.token }}"}}}]},
    )  # fmt: skip
    found = examine_files({"a.yaml": secret.encode()})
    with Client(WarmApp(replace(ports, documents=lambda: found.documents))) as client:
        body = {"version": "1", "inputs": {"token": {"file": "db"}}}
        answer = client.post("/api/v1/blueprints/root/safe/render", json=body).json()
    assert ([each["spec"]["env"] for each in answer["documents"]], answer["diagnostics"]) == (
        [{"T": {"file": "db"}}],
        [],
    )


def test_without_a_service(tmp_path: Path, station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit(
        FILES
        | {
            "shop.yaml": document(
                "BlueprintInstance",
                "shop",
                {"blueprint": "web", "version": "1", "inputs": {"app": "shop", "on": False}},
                space="production",
            )
        }
    )
    monkeypatch.setenv("STATION_CONFIG_URL", repo.url)
    monkeypatch.setenv("STATION_DATA_DIR", str(tmp_path / "data"))
    assert station("reconcile").code == 0
    assert station("blueprint", "inputs", "web").out.startswith("platform/web version 10")
    found = station("blueprint", "render", "--instance", "production/shop")
    assert [each["metadata"]["name"] for each in documents(found.out)] == ["shop-web"]
    tried = station("blueprint", "render", "web", "--version", "1", "--input", "app=blog")
    assert (tried.code, tried.err) == (0, "")
    rendered = station("render", "production/shop-web")
    assert "Blueprint platform/web version 1 by production/shop" in rendered.out


def test_diff_shows_a_version_as_the_changes_of_its_stacks(tmp_path: Path, station: Station) -> None:
    clone = Repo(tmp_path / "clone")
    clone.commit(FILES)
    clone.commit({"shop.yaml": instance("10", app="shop", size="m")})
    found = station("diff", "--repository", clone.path, "--base", "HEAD^", "-o", "json")
    answer = json.loads(found.out)
    assert (found.code, answer["diagnostics"], answer["held"]) == (2, [], [])
    assert sorted(f"{each['verb']} {each['kind']} {each['name']}" for each in answer["documents"]) == [
        "update BlueprintInstance shop",
        "update Stack shop-web",
    ]
    assert answer["stacks"] == [
        {
            "id": "production/shop-web",
            "action": "update",
            "why": [{"component": "blueprint", "summary": "blueprint platform/web 1 -> 10: script.apply"}],
            "pin": None,
        }
    ]
    clone.commit({"shop.yaml": instance("9", app="shop", size="m")})
    answer = json.loads(station("diff", "--repository", clone.path, "--base", "HEAD~2", "-o", "json").out)
    assert answer["stacks"] == []
    clone.commit({"shop.yaml": instance("9", app="other", size="m")})
    answer = json.loads(station("diff", "--repository", clone.path, "--base", "HEAD~2", "-o", "json").out)
    assert {each["id"]: each["action"] for each in answer["stacks"]} == {
        "production/shop-web": "retain",
        "production/other-web": "create",
    }


def test_lists(remote: Station, app: WarmApp) -> None:
    with Client(app) as client:
        first = client.get("/api/v1/blueprints", limit=2).json()
        rest = client.get("/api/v1/blueprints", limit=2, cursor=first["next"]).json()
    assert [(each["name"], each["version"]) for each in first["items"] + rest["items"]] == [
        ("web", "1"),
        ("web", "10"),
        ("web", "9"),
    ]
    assert rest["next"] is None
