"""What links inside a repository lead to comes along; what leads out is refused by its name."""

import pytest

from reconciler.git.checkout import checkout
from reconciler.git.errors import CheckoutRefused
from reconciler.git.links import follow, resolve

FILES = {
    "net/main.tf": "m",
    "common/global.tfvars": "g",
    "common/deep/x.tf": "x",
    "lib/vpc/v.tf": "v",
    "other/o": "o",
}


def linked(repo, links, files=FILES):
    for name, target in links.items():
        (repo.path / name).parent.mkdir(parents=True, exist_ok=True)
        (repo.path / name).symlink_to(target)
    return repo.commit(files)


@pytest.mark.parametrize(
    ("links", "paths", "expected"),
    [
        pytest.param({}, ["net"], ["net"], id="no links"),
        pytest.param(
            {"net/terraform.tfvars": "../common/global.tfvars"}, ["net"], ["net", "common/global.tfvars"], id="a file"
        ),
        pytest.param({"net/deep": "../common/deep"}, ["net"], ["net", "common/deep"], id="a directory"),
        pytest.param(
            {"net/a": "../common/b", "common/b": "global.tfvars"},
            ["net"],
            ["net", "common/b", "common/global.tfvars"],
            id="a link to a link",
        ),
        pytest.param(
            {"net/common": "../linked", "linked": "common", "common/deep/up": "../../lib/vpc"},
            ["net"],
            ["net", "linked", "common", "lib/vpc"],
            id="a directory that holds links",
        ),
        pytest.param({"net/x": "../linked/deep", "linked": "common"}, ["net"], ["net", "linked", "common/deep"],
                     id="through a linked directory"),
        pytest.param({"live": "net"}, ["live"], ["live", "net"], id="the path itself"),
        pytest.param({"net/inside": "main.tf"}, ["net"], ["net"], id="to what is there anyway"),
        pytest.param({"net/up": ".."}, ["net"], ["net", "."], id="to everything"),
        pytest.param({"net/later": "../gone/file"}, ["net"], ["net", "gone/file"], id="to nothing yet"),
    ],
)  # fmt: skip
def test_what_a_source_needs(repo, tmp_path, links, paths, expected):
    revision = linked(repo, links)
    found = follow(repo.trees, revision, paths)
    assert (list(found.entries), found.problems) == (expected, [])
    present = [path for path, entry in found.entries.items() if entry is not None]
    checkout(repo.trees, revision, present, tmp_path / "w")
    for link in (link for link in links if link.startswith(paths[0])):
        here, there = repo.path / link, tmp_path / "w" / link
        if here.is_file():
            assert there.read_text() == here.read_text()
        elif here.is_dir():
            assert {path.name for path in there.iterdir()} >= {path.name for path in here.iterdir()} - {".git"}


def test_what_a_link_leads_to_changes_with_the_repository(repo):
    before = linked(repo, {"net/terraform.tfvars": "../common/global.tfvars"})
    unrelated = repo.commit({"other/o": "changed"})
    changed = repo.commit({"common/global.tfvars": "changed"})
    found = [follow(repo.trees, each, ["net"]).entries for each in (before, unrelated, changed)]
    assert found[0] == found[1]
    assert found[1] != found[2]


@pytest.mark.parametrize(
    ("links", "words"),
    [
        pytest.param({"net/out": "../../secret"}, "'net/out' is a symbolic link that leads outside", id="out"),
        pytest.param({"net/out": "/etc/passwd"}, "'net/out' is a symbolic link to an absolute path", id="absolute"),
        pytest.param({"net/a": "../b", "b": "../x"}, "'net/a' is a symbolic link that leads outside", id="at a distance"),
        pytest.param({"net/a": "../common/b", "common/b": "/etc"}, "'common/b' is a symbolic link to an absolute", id="absolute, far"),
        pytest.param({"net/a": "b", "net/b": "a"}, "leads back to itself", id="circle"),
        pytest.param({"net/d": "../common/deep", "common/deep/out": "../../../x"}, "'common/deep/out'", id="below a linked directory"),
        pytest.param({"net/git": "../.git/config"}, "'net/git' is a symbolic link to a Git directory", id="git"),
    ],
)  # fmt: skip
def test_what_leads_out_is_refused_by_name(repo, tmp_path, links, words):
    revision = linked(repo, links)
    found = follow(repo.trees, revision, ["net"])
    assert any(words in problem for problem in found.problems), found.problems
    with pytest.raises(CheckoutRefused):
        checkout(repo.trees, revision, ["."], tmp_path / "w")


def test_a_submodule_is_a_problem_wherever_it_lies(repo):
    inner = repo.git("mktree", "--missing", "-z", stdin=b"160000 commit " + b"1" * 40 + b"\tvendor\0").encode()
    revision = repo.tree_commit([b"040000 tree " + inner + b"\tnet"])
    for path, name in (("net", "'net/vendor'"), ("net/vendor", "'net/vendor'")):
        (problem,) = follow(repo.trees, revision, [path]).problems
        assert problem.startswith(f"{name} is a Git submodule")


def test_resolving_names_the_links_on_the_way(repo):
    revision = linked(repo, {"a": "b", "b": "common"})
    found = resolve(repo.trees, revision, "a/deep/x.tf")
    assert (found.path, [name for name, _ in found.links]) == ("common/deep/x.tf", ["a", "b"])
