from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from reconciler.tools.registry import tool
from reconciler.tools.side_by_side import Unfit, as_planned, pick, versions
from reconciler.tools.versions import Found, Missing
from tests.needs import needs
from tests.unit.reconciler.tools.test_versions import binary

TERRAFORM = tool("terraform")
USUAL = "1.9.5"


@pytest.fixture
def usual(tmp_path: Path) -> str:
    """A search path with one version."""
    says(tmp_path / "bin", "terraform", USUAL)
    return str(tmp_path / "bin")


@pytest.fixture
def beside(tmp_path: Path) -> list[Path]:
    """Two directories with versions side by side, in every way in which they can lie there."""
    one, two = tmp_path / "one", tmp_path / "two"
    says(one, "terraform_1.8.2", "1.8.2")
    says(one, "terraform-1.9.8", "1.9.8")
    says(one, "tofu_1.9.9", "1.9.9")
    says(one, "terraform_1.10.0-beta1", "1.10.0-beta1")
    two.mkdir()
    says(two / "1.5.7", "terraform", "1.5.7")
    says(two / "v1.10.1", "terraform", "1.10.1")
    (two / "1.11.0").mkdir()
    says(two, "terraform_1.11.1", "1.11.1")
    (two / "terraform_1.11.1").chmod(0o600)
    return [one, two, tmp_path / "none"]


def says(directory: Path, name: str, version: str) -> None:
    product = "OpenTofu" if name.startswith("tofu") else "Terraform"
    binary(directory, name, f'echo "{product} v{version}"')


@pytest.mark.parametrize(
    ("constraint", "version"),
    [
        pytest.param(None, USUAL, id="none asked: the one on the search path"),
        pytest.param(">=1.8,<1.10", "1.9.8", id="the newest that fits"),
        pytest.param("~> 1.8", "1.10.1", id="newer than the search path's"),
        pytest.param("1.9.5", USUAL, id="only on the search path"),
        pytest.param("1.5", "1.5.7", id="an old one"),
        pytest.param("1.10.0-beta1", "1.10.0-beta1", id="a beta that is asked for"),
        pytest.param(">=1.9.9,<1.10.1", "1.10.0-beta1", id="a beta where nothing else fits"),
    ],
)
def test_the_newest_that_fits_is_picked(usual: str, beside: list[Path], constraint: str | None, version: str) -> None:
    found = pick(TERRAFORM, constraint, usual, beside)
    assert isinstance(found, Found)
    assert found.version == version


def test_where_nothing_fits_all_that_there_is_is_named(usual: str, beside: list[Path]) -> None:
    assert pick(TERRAFORM, ">=2", usual, beside) == Unfit(
        "terraform is installed as 1.10.1, 1.9.8, 1.8.2, 1.5.7, 1.10.0-beta1, 1.9.5, but the stack requires >=2"
    )
    assert pick(TERRAFORM, ">=2", usual, []) == Unfit("terraform 1.9.5 is installed, but the stack requires >=2")
    assert isinstance(pick(TERRAFORM, ">=2", "", []), Missing)


def test_without_one_on_the_search_path_the_newest_release_counts(beside: list[Path]) -> None:
    found = pick(TERRAFORM, None, "", beside)
    assert found == Found(str(beside[1] / "v1.10.1" / "terraform"), "1.10.1")


def test_a_name_that_lies_counts_for_nothing(usual: str, tmp_path: Path) -> None:
    says(tmp_path / "one", "terraform_1.9.9", "1.6.0")
    binary(tmp_path / "one", "terraform_1.9.8", "exit 3")
    says(tmp_path / "one", "terraform_1.9.7", "1.9.7")
    found = pick(TERRAFORM, "~> 1.9.0", usual, [tmp_path / "one"])
    assert found == Found(str(tmp_path / "one" / "terraform_1.9.7"), "1.9.7")
    wrong = pick(TERRAFORM, "1.9.8", usual, [tmp_path / "one"])
    assert isinstance(wrong, Unfit)
    assert "terraform_1.9.8: terraform cannot be used: asking for its version ended with exit code 3" in wrong.message


def test_all_of_them_are_listed(usual: str, beside: list[Path]) -> None:
    found = versions(TERRAFORM, usual, beside)
    assert [each.version for _, each in found if isinstance(each, Found)] == [
        *("1.10.1", "1.9.8", "1.8.2", "1.5.7", "1.10.0-beta1")
    ]
    assert versions(tool("script"), usual, beside) == []


def test_a_plan_is_applied_by_what_made_it(usual: str, beside: list[Path]) -> None:
    path = str(beside[0] / "terraform-1.9.8")
    assert as_planned(TERRAFORM, path, "1.9.8", usual) == Found(path, "1.9.8")
    says(beside[0], "terraform-1.9.8", "1.9.80")
    assert as_planned(TERRAFORM, path, "1.9.8", usual) == Unfit(
        f"the plan was made by terraform 1.9.8 at {path}, which is 1.9.80 by now: plan it again"
    )
    Path(path).unlink()
    assert as_planned(TERRAFORM, path, "1.9.8", usual) == Unfit(
        f"the plan was made by terraform 1.9.8 at {path}, which cannot be used any more: plan it again"
    )


@needs("terraform")
def test_the_real_one_behind_a_link(tmp_path: Path) -> None:
    real = shutil.which("terraform")
    assert real is not None
    (tmp_path / "terraform_99.0.0").symlink_to(real)
    found = pick(TERRAFORM, ">=1", "", [tmp_path])
    assert isinstance(found, Found)
    assert found.binary == str(tmp_path / "terraform_99.0.0")
    assert found.version != "99.0.0"
    assert os.access(found.binary, os.X_OK)
