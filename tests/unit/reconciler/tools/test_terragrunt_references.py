"""What the service finds in Terragrunt's files without evaluating them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from posixpath import basename, dirname, normpath
from typing import Any

import pytest

from reconciler.tools.registry import tool


@dataclass(frozen=True)
class Files:
    """A repository without links."""

    files: dict[str, str]

    def read(self, path: str) -> bytes | None:
        found = self.files.get(normpath(path))
        return None if found is None else found.encode()

    def listing(self, path: str) -> Sequence[tuple[str, str]] | None:
        here = normpath(path or ".")
        found = [(basename(file), text) for file, text in self.files.items() if (dirname(file) or ".") == here]
        return found if found or self.directories(path) else None

    def directories(self, path: str) -> Sequence[str]:
        here = normpath(path or ".")
        inside = [file if here == "." else file.removeprefix(f"{here}/") for file in self.files]
        inside = [it for it, file in zip(inside, self.files, strict=True) if here == "." or it != file]
        return sorted({it.partition("/")[0] for it in inside if "/" in it})

    def real(self, path: str) -> str:
        return normpath(path)


def found(files: dict[str, str], path: str = "live/net") -> Any:
    return tool("terragrunt").references(Files(files), path)


REMOTE = 'remote_state {\n  backend = "s3"\n}\n'


@pytest.mark.parametrize(
    ("hcl", "others", "paths"),
    [
        pytest.param('include "r" {\n  path = find_in_parent_folders("root.hcl")\n}\n', {"root.hcl": ""},
                     {"live/root.hcl", "root.hcl"}, id="parent"),
        pytest.param('terraform {\n  source = "../../modules//net"\n}\n', {"modules/net/main.tf": 'module "a" {\n  source = "../a"\n}\n', "modules/a/main.tf": ""},
                     {"modules", "modules/net", "modules/a"}, id="module below a whole directory"),
        pytest.param('locals {\n  env = read_terragrunt_config("../env.hcl")\n}\n', {"live/env.hcl": 'locals {\n  x = file("../../y.txt")\n}\n', "y.txt": ""},
                     {"live/env.hcl", "y.txt"}, id="configuration that is read"),
        pytest.param('terraform {\n  source = "${get_repo_root()}/modules/net"\n}\n', {"modules/net/main.tf": ""}, {"modules/net"}, id="from the top"),
        pytest.param('terraform {\n  source = "${get_terragrunt_dir()}/../m"\n}\n', {"live/m/main.tf": ""}, {"live/m"}, id="from here"),
        pytest.param('dependency "b" {\n  config_path = "../b"\n}\n', {"live/b/terragrunt.hcl": 'terraform {\n  source = "../../modules/b"\n}\n', "modules/b/x.tf": ""},
                     {"live/b", "modules/b"}, id="another unit"),
        pytest.param('dependencies {\n  paths = ["../b", "../c"]\n}\n', {}, {"live/b", "live/c"}, id="units that are not there"),
        pytest.param('# source = "../../old"\nterraform {\n  source = "git::https://x/y.git//z?ref=v1"\n}\n', {}, set(), id="nothing of the repository"),
        pytest.param('terraform {\n  source = "../../../../etc"\n}\n', {}, set(), id="outside"),
    ],
)  # fmt: skip
def test_what_the_files_name_counts(hcl: str, others: dict[str, str], paths: set[str]) -> None:
    assert found({"live/net/terragrunt.hcl": hcl, **others}).paths == paths


@pytest.mark.parametrize(
    ("files", "backend"),
    [
        pytest.param({"live/net/terragrunt.hcl": ""}, "managed", id="none"),
        pytest.param({"live/net/terragrunt.hcl": REMOTE}, "own", id="in the unit"),
        pytest.param({"live/net/terragrunt.hcl": "# remote_state {}\n"}, "managed", id="in a comment"),
        pytest.param({"live/net/terragrunt.hcl": 'x = find_in_parent_folders("root.hcl")', "root.hcl": REMOTE}, "own", id="in a parent"),
        pytest.param({"live/net/terragrunt.hcl": 'generate "b" {\n  contents = "terraform { backend \\"s3\\" {} }"\n}\n'}, "own", id="generated"),
        pytest.param({"live/net/terragrunt.hcl": 'terraform {\n  source = "../../m"\n}\n', "m/a.tf": 'terraform {\n  backend "s3" {}\n}\n'}, "own", id="in the module"),
        pytest.param({"live/net/terragrunt.hcl": 'dependency "b" {\n  config_path = "../b"\n}\n', "live/b/terragrunt.hcl": REMOTE}, "managed", id="of another unit"),
    ],
)  # fmt: skip
def test_whether_a_unit_names_a_backend(files: dict[str, str], backend: str) -> None:
    assert found(files).facts["backend"] == backend


def test_the_units_below_that_nothing_would_keep() -> None:
    files = {
        "live/a/terragrunt.hcl": "",
        "live/b/c/terragrunt.hcl": REMOTE,
        "live/.terragrunt-cache/x/terragrunt.hcl": "",
    }
    assert found(files, "live").facts["unkept"] == ["a"]
