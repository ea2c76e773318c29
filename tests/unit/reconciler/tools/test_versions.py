from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.tools.registry import tool
from reconciler.tools.versions import Found, Missing, check, find


def binary(directory: Path, name: str, text: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (directory / name).chmod(0o755)


def test_a_binary_is_asked_once(tmp_path: Path) -> None:
    binary(tmp_path, "terraform", f'echo x >> {tmp_path}/asked; echo "Terraform v1.11.4"; echo "on linux_amd64"')
    found = Found(str(tmp_path / "terraform"), "1.11.4")
    assert [find(tool("terraform"), f"{tmp_path}:/usr/bin:/bin") for _ in range(3)] == [found] * 3
    assert (tmp_path / "asked").read_text() == "x\n"


def test_another_binary_in_its_place_is_asked_anew(tmp_path: Path) -> None:
    binary(tmp_path, "tofu", 'echo "OpenTofu v1.8.0"')
    assert find(tool("opentofu"), str(tmp_path)) == Found(str(tmp_path / "tofu"), "1.8.0")
    binary(tmp_path, "tofu", 'echo "OpenTofu v1.10.1" # new')
    assert find(tool("opentofu"), str(tmp_path)) == Found(str(tmp_path / "tofu"), "1.10.1")


def test_one_product_is_never_taken_for_the_other(tmp_path: Path) -> None:
    binary(tmp_path, "terraform", 'echo "Terraform v1.11.4"')
    found = find(tool("opentofu"), str(tmp_path))
    assert found == Missing("opentofu is not installed: there is no tofu on the search path")


def test_the_environment_of_the_service_is_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATION_TOKEN", "secret")
    binary(tmp_path, "terraform", f'env > {tmp_path}/env; echo "Terraform v1.0.0"')
    find(tool("terraform"), f"{tmp_path}:/usr/bin:/bin")
    assert "STATION_TOKEN" not in (tmp_path / "env").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("exit 3", "asking for its version ended with exit code 3", id="fails"),
        pytest.param("echo hello", "it did not report its version (no line that says", id="says something else"),
        pytest.param("kill -9 $$", "ended with exit code -9", id="dies"),
    ],
)
def test_a_binary_that_does_not_name_its_version_is_missing(tmp_path: Path, text: str, message: str) -> None:
    binary(tmp_path, "terraform", text)
    found = find(tool("terraform"), str(tmp_path))
    assert isinstance(found, Missing)
    assert message in found.message


def test_a_file_that_is_no_program_is_missing(tmp_path: Path) -> None:
    (tmp_path / "terraform").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "terraform").chmod(0o755)
    assert isinstance(find(tool("terraform"), str(tmp_path)), Missing)


def test_a_script_needs_nothing() -> None:
    assert find(tool("script"), "") == Found("", None)


@pytest.mark.parametrize(
    ("version", "constraint", "message"),
    [
        pytest.param("1.11.4", None, None, id="none asked"),
        pytest.param("1.11.4", ">=1.8,<2", None, id="within"),
        pytest.param("1.12.0-beta1", ">=1.8,<2", None, id="beta within"),
        pytest.param("2.0.0", ">=1.8,<2", "terraform 2.0.0 is installed, but the stack requires >=1.8,<2", id="above"),
        pytest.param("1.7.9", ">=1.8,<2", "terraform 1.7.9 is installed, but the stack requires >=1.8,<2", id="below"),
        pytest.param(None, ">=1", "terraform has no version, but the stack requires >=1", id="without a version"),
        pytest.param(
            "x", ">=1", "terraform calls its version 'x', which cannot be compared with >=1", id="odd version"
        ),
        pytest.param(
            "1",
            "latest",
            "toolVersion 'latest' is not a range of versions: write, for example, '>=1.8,<2' or '~> 1.9'",
            id="no range",
        ),
    ],
)
def test_check(version: str | None, constraint: str | None, message: str | None) -> None:
    assert check("terraform", constraint, Found("/bin/terraform", version)) == message


@pytest.mark.parametrize(
    ("name", "printed", "version"),
    [
        ("terraform", "Terraform v1.11.4\non linux_amd64\n", "1.11.4"),
        ("terraform", "warning: x\nTerraform v1.12.0-beta1\n", "1.12.0-beta1"),
        ("opentofu", "OpenTofu v1.10.2\non linux_amd64\n", "1.10.2"),
        ("ansible", "ansible-playbook [core 2.19.14]\n  config file = None\n", "2.19.14"),
    ],
)
def test_read_version(name: str, printed: str, version: str) -> None:
    assert tool(name).read_version(printed) == version


@pytest.mark.parametrize("name", ["terraform", "opentofu", "ansible", "script"])
def test_read_version_of_something_else(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        tool(name).read_version("hello 1.2.3")
