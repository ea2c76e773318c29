from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha1

import pytest

from reconciler.tools.registry import tool


class MemoryReader:
    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = {path: text.encode() for path, text in files.items()}
        self.reads: list[str] = []

    def read(self, path: str) -> bytes | None:
        self.reads.append(path)
        return self.files.get(path)

    def listing(self, path: str) -> Sequence[tuple[str, str]] | None:
        prefix = f"{path}/" if path else ""
        if not any(name.startswith(prefix) for name in self.files):
            return None
        return [
            (name.removeprefix(prefix), sha1(data).hexdigest())
            for name, data in self.files.items()
            if name.startswith(prefix) and "/" not in name.removeprefix(prefix)
        ]

    def real(self, path: str) -> str:
        return path


def module(source: str, name: str = "m") -> str:
    return f'module "{name}" {{\n  source = "{source}"\n}}\n'


LEAF = 'resource "terraform_data" "x" {}\n'


@pytest.mark.parametrize(
    ("files", "path", "paths"),
    [
        pytest.param({"s/main.tf": LEAF}, "s", set(), id="nothing"),
        pytest.param({"s/main.tf": module("../m/vpc"), "m/vpc/v.tf": LEAF}, "s", {"m/vpc"}, id="sibling"),
        pytest.param({"s/main.tf": module("./sub"), "s/sub/v.tf": LEAF}, "s", set(), id="inside is there anyway"),
        pytest.param(
            {"s/main.tf": module("./sub"), "s/sub/v.tf": module("../../m/a"), "m/a/x.tf": LEAF},
            "s",
            {"m/a"},
            id="inside leads outside",
        ),
        pytest.param(
            {"s/main.tf": module("../m/a"), "m/a/x.tf": module("../b"), "m/b/x.tf": module("../a")},
            "s",
            {"m/a", "m/b"},
            id="in a circle",
        ),
        pytest.param(
            {"s/main.tf.json": '{"module": {"m": {"source": "../m/a"}}}', "m/a/x.tf": LEAF}, "s", {"m/a"}, id="json"
        ),
        pytest.param(
            {"s/main.tf.json": '{"module": [{"m": [{"source": "../m/a"}]}]}', "m/a/x.tf": LEAF},
            "s",
            {"m/a"},
            id="json in lists",
        ),
        pytest.param(
            {"s/main.tf": module("../m/old"), "s/main_override.tf": module("../m/new"), "m/new/x.tf": LEAF},
            "s",
            {"m/new"},
            id="override replaces",
        ),
        pytest.param(
            {"s/override.tf.json": '{"module":{"m":{"source":"../a"}}}', "s/z.tf": module("../b"), "a/x.tf": LEAF},
            "s",
            {"a"},
            id="override in json",
        ),
        pytest.param({"s/main.tf": module("../"), "x.tf": LEAF}, "s", {"."}, id="top of the repository"),
        pytest.param({"main.tf": module("./m"), "m/x.tf": LEAF}, ".", set(), id="source at the top"),
        pytest.param(
            {"s/main.tf": module("git::https://example.com/x") + module("hashicorp/x/aws", "n")},
            "s",
            set(),
            id="remote modules",
        ),
        pytest.param({"s/.hidden.tf": module("../x"), "s/a.tf~": module("../y")}, "s", set(), id="files left alone"),
        pytest.param({"s/a.tofu": module("../x")}, "s", set(), id="terraform reads no tofu files"),
        pytest.param(
            {"s/main.tf": "module {{{\n" + module("../m/a", "b"), "m/a/x.tf": LEAF}, "s", set(), id="broken code"
        ),
        pytest.param({"s/x.tf.json": '{"module": ' + "[" * 100_000}, "s", set(), id="broken json"),
        pytest.param({}, "s", set(), id="no such directory"),
    ],
)
def test_local_modules_are_followed(files: dict[str, str], path: str, paths: set[str]) -> None:
    found = tool("terraform").references(MemoryReader(files), path)
    assert (set(found.paths), found.problems) == (paths, ())


def test_tofu_files_come_before_terraform_files_of_the_same_name() -> None:
    reader = MemoryReader(
        {
            "s/a.tf": module("../no"),
            "s/a.tofu": module("../a"),
            "s/b.tofu.json": '{"module": {"b": {"source": "../b"}}}',
            "s/c.tf": module("../c", "c"),
            "a/x.tf": LEAF,
            "b/x.tf": LEAF,
            "c/x.tf": LEAF,
        }
    )
    assert tool("opentofu").references(reader, "s").paths == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param("../../x", 'module source "../../x" in live/main.tf leaves the repository', id="above the top"),
        pytest.param("/etc", 'module source "/etc" in live/main.tf leaves the repository', id="absolute"),
        pytest.param(
            "../gone",
            'module source "../gone" in live/main.tf: the repository has no directory gone',
            id="missing",
        ),
    ],
)
def test_what_cannot_be_followed_is_a_problem(source: str, problem: str) -> None:
    found = tool("terraform").references(MemoryReader({"live/main.tf": module(source)}), "live")
    assert found.problems == (problem,)


@pytest.mark.parametrize(
    ("files", "backend"),
    [
        pytest.param({"s/main.tf": LEAF}, "managed", id="none"),
        pytest.param({"s/main.tf": 'terraform {\n  backend "s3" {}\n}'}, "own", id="backend"),
        pytest.param({"s/main.tf": "terraform {\n  cloud {\n  }\n}"}, "own", id="cloud"),
        pytest.param({"s/override.tf": 'terraform { backend "gcs" {} }'}, "own", id="in an override"),
        pytest.param({"s/b.tf.json": '{"terraform": {"backend": {"s3": {}}}}'}, "own", id="json"),
        pytest.param({"s/b.tf.json": '{"terraform": [{"cloud": {}}]}'}, "own", id="cloud in json"),
        pytest.param({"s/main.tf": '# terraform { backend "s3" {} }\nmodule "x" {}'}, "managed", id="commented out"),
        pytest.param({"s/main.tf": 'resource "cloudflare_zone" "backend" {}'}, "managed", id="words elsewhere"),
        pytest.param(
            {"s/main.tf": module("../m"), "m/x.tf": 'terraform { backend "s3" {} }'}, "managed", id="only in a module"
        ),
        pytest.param({"s/main.tf": 'terraform {\n  required_version = ">= 1"\n}'}, "managed", id="other settings"),
    ],
)
def test_the_backend_is_told_from_the_code(files: dict[str, str], backend: str) -> None:
    assert tool("terraform").references(MemoryReader(files), "s").facts == {"backend": backend}


def test_a_file_is_read_once_for_all_revisions() -> None:
    files = {"s/only-here.tf": module("../read-once"), "read-once/x.tf": "# module of one test\n" + LEAF}
    first, second = MemoryReader(files), MemoryReader(files)
    assert tool("terraform").references(first, "s") == tool("terraform").references(second, "s")
    assert (sorted(first.reads), second.reads) == (["read-once/x.tf", "s/only-here.tf"], [])
