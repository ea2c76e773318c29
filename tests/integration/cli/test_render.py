"""`station render --ref`: from a clone, without a service."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.station import Repo, a_script, document
from tests.integration.cli.conftest import Station


@pytest.fixture
def clone(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "clone")
    made.commit(
        {
            "space.yaml": document("Space", "shop", {"parent": "root", "inherit": True}),
            "c.yaml": document("Context", "tier", {"attach": {"matchLabels": {"tier": "web"}}, "env": {"L": "1"}}),
            "d.yaml": document("Context", "ca", {"attach": {}, "files": {"ca.pem": {"source": "./ca.pem"}}}),
            "e.yaml": document("Context", "named", {"env": {"L": "2"}, "hooks": {"after": {"run": ["./bye.sh"]}}}),
            "ca.pem": "MIIB\n",
            "a.yaml": a_script("web", "true", labels={"tier": "web"}, contexts=[{"name": "named", "priority": 10}]),
            "b.yaml": a_script("web", "true", space="root"),
        }
    )
    return made


def test_everything_with_its_origin_and_how_it_came_in(station: Station, clone: Repo) -> None:
    result = station("render", "--repository", clone.path, "--ref", "main", "shop/web")
    assert (result.code, result.err) == (0, "")
    rows = [re.split(r"  +", line) for line in result.out.splitlines()]
    assert rows[rows.index(["contexts"]) + 2 :][:3] == [
        ["shop/ca", "attached to every stack"],
        ["shop/tier", "attached by labels tier=web"],
        ["shop/named", "named, priority 10"],
    ]
    assert ["L", "2", "Context shop/named", "Context shop/tier"] in rows
    assert ["ca.pem", "5", "file ca.pem of the repository", "Context shop/ca"] in rows
    assert ["after run", "./bye.sh", "Context shop/named"] in rows


def test_as_data(station: Station, clone: Repo) -> None:
    shown = json.loads(station("render", "--repository", clone.path, "--ref", "HEAD", "shop/web", "-o", "json").out)
    assert shown["contexts"] == ["shop/ca", "shop/tier", "shop/named"]
    assert shown["attached"][1:] == [
        {
            "space": "shop",
            "name": "tier",
            "how": "attached by labels tier=web",
            "priority": None,
            "labels": {"tier": "web"},
        },
        {"space": "shop", "name": "named", "how": "named, priority 10", "priority": 10, "labels": None},
    ]
    assert shown["files"][0]["value"] == "MIIB\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--ref", "HEAD", "web"], "several stacks are named web: write root/web or shop/web", id="two"),
        pytest.param(["--ref", "HEAD", "shop/gone"], "there is no stack shop/gone at HEAD", id="no stack"),
        pytest.param(
            ["--ref", "nowhere", "shop/web"], "there is no branch or commit nowhere in this clone", id="no ref"
        ),
    ],
)
def test_what_cannot_be_found(station: Station, clone: Repo, arguments: list[str], words: str) -> None:
    result = station("render", "--repository", clone.path, *arguments)
    assert (result.code, result.out) == (1, "")
    assert words in result.err


def test_what_is_broken_is_said_and_does_not_count(station: Station, clone: Repo) -> None:
    clone.commit({"c.yaml": document("Context", "tier", {"attach": {"labels": {}}})})
    result = station("render", "--repository", clone.path, "--ref", "HEAD", "shop/web", "-o", "json")
    assert "unknown-key" in result.err
    assert json.loads(result.out)["contexts"] == ["shop/ca", "shop/named"]
