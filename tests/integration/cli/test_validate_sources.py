"""What `station validate` finds about the paths that sources name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import Station


def _stack(**source: Any) -> str:
    spec = {"tool": "script", "script": {"apply": "x"}, "source": source}
    return json.dumps({"apiVersion": "stationkeeper/v1", "kind": "Stack", "metadata": {"name": "a"}, "spec": spec})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    top = tmp_path / "repo"
    for directory in (".git", "conf/net/.terraform", "conf/code", "conf/deep/in", "modules/vpc"):
        (top / directory).mkdir(parents=True)
    (top / "conf/code/main.tf").touch()
    (top / "modules/vpc/main.tf").touch()
    (top / "conf/link").symlink_to("code")
    (top / "conf/net/inside").symlink_to("../../modules")
    (top / "conf/net/.terraform/plugin").symlink_to("/usr/bin")
    (top / "conf/out").symlink_to("../../elsewhere")
    (top / "conf/deep/in/up").symlink_to("../../../../..")
    return top


CASES = [
    pytest.param({"path": "./net"}, [], id="good, with a link that stays inside and links of tools"),
    pytest.param(
        {"path": "."},
        ["error source-refused deep/in/up", "error source-refused out"],
        id="links that lead outside",
    ),
    pytest.param({"path": "./deep"}, ["error source-refused deep/in/up"], id="at any depth"),
    pytest.param({"path": "./gone"}, ["error source-not-found gone does not exist"], id="not there"),
    pytest.param({"path": "code/main.tf"}, ["error source-not-found is not a directory"], id="a file"),
    pytest.param({"path": "./link"}, [], id="a link inside"),
    pytest.param({"path": "./out"}, ["error source-not-found goes through the symbolic link out"], id="a link out"),
    pytest.param({"path": "net", "include": ["modules/**"]}, [], id="an include from the top of the repository"),
    pytest.param({"path": "net", "include": ["modules", "conf/code/main.tf"]}, [], id="plain paths"),
    pytest.param({"path": "net", "include": ["module/**"]}, ["warning include-empty module/**"], id="a typo"),
    pytest.param({"path": "net", "include": ["modules/*.tf"]}, ["warning include-empty"], id="not so deep"),
    pytest.param({"path": "net", "include": ["conf/link/*.tf"]}, [], id="through a link"),
    pytest.param({"path": "net", "include": ["a**b"]}, ["error invalid-glob a**b"], id="a broken glob"),
]


@pytest.mark.parametrize(("source", "expected"), CASES)
def test_sources_on_disk(station: Station, repository: Path, source: dict[str, Any], expected: list[str]) -> None:
    (repository / "conf/a.yaml").write_text(_stack(**source))
    result = station("validate", repository / "conf", "-o", "json")
    found = json.loads(result.out)["diagnostics"]
    assert len(found) == len(expected), found
    for told, wanted in zip(found, expected, strict=True):
        severity, code, *words = wanted.split(" ", 2)
        assert (told["severity"], told["code"], told["file"]) == (severity, code, "a.yaml")
        assert all(word in told["summary"] for word in words)
    assert result.code == int(any(line.startswith("error") for line in expected))


def test_one_file_of_a_repository_is_judged_with_what_is_around_it(station: Station, repository: Path) -> None:
    head = '{"apiVersion": "stationkeeper/v1", "kind": "%s", "metadata": {"name": "%s"}, "spec": {%s}}'
    (repository / "conf/a").mkdir()
    (repository / "conf/a/space.yaml").write_text(head % ("Space", "a", ""))
    (repository / "conf/context.yaml").write_text(head % ("Context", "common", ""))
    (repository / "other.yaml").write_text(head % ("Context", "common", ""))
    (repository / "conf/broken.yaml").write_text(head % ("Context", "other", '"nothing": 1'))
    (repository / "conf/a.yaml").write_text(
        _stack(path="net").replace('"spec": {', '"spec": {"contexts": ["common"], ')
    )
    assert station("validate", repository / "conf/a.yaml").code == 0
    (repository / "conf/context.yaml").unlink()
    result = station("validate", repository / "conf/a.yaml")
    (line,) = result.out.splitlines()
    assert (result.code, "conf/a.yaml:" in line, "[unknown-context]" in line) == (1, True, True), line


def test_one_file_alone_is_judged_without_its_surroundings(station: Station, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(_stack(path="./gone"))
    assert station("validate", file).code == 0


def test_a_source_in_another_repository_is_not_looked_for_here(station: Station, repository: Path) -> None:
    infra = '{"apiVersion": "stationkeeper/v1", "kind": "Repository", "metadata": {"name": "infra"}, '
    (repository / "conf/r.yaml").write_text(infra + '"spec": {"url": "https://git.example.org/infra.git"}}')
    (repository / "conf/a.yaml").write_text(_stack(path="live", repository="infra"))
    assert station("validate", repository / "conf").code == 0
