import errno
import os
import time
from pathlib import Path

import pytest

from reconciler.git.checkout import checkout, is_unsafe_name
from reconciler.git.errors import CheckoutRefused, GitError, GitReason


@pytest.fixture
def filled(repo):
    (repo.path / "net").mkdir()
    (repo.path / "net/apply.sh").write_text("#!/bin/sh\n")
    (repo.path / "net/apply.sh").chmod(0o755)
    (repo.path / "net/modules").symlink_to("../modules")
    revision = repo.commit(
        {"net/main.tf": "m", "net/sub/x.tf": "x", "modules/vpc/v.tf": "v", "other/o.tf": "o", "top.txt": "t"}
    )
    return repo, revision


def layout(directory):
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir() or path.is_symlink()
    )


def test_exactly_the_chosen_paths_for_us_alone(filled, tmp_path):
    repo, revision = filled
    into = tmp_path / "deep/work"
    checkout(repo.trees, revision, ["net", "./modules/vpc/", "net/sub", "top.txt"], into)
    assert layout(into) == ["modules/vpc/v.tf", "net/apply.sh", "net/main.tf", "net/modules", "net/sub/x.tf", "top.txt"]
    assert (into / "net/modules/vpc/v.tf").read_text() == "v"
    modes = {name: (into / name).stat().st_mode & 0o777 for name in ("", "net", "net/main.tf", "net/apply.sh")}
    assert modes == {"": 0o700, "net": 0o700, "net/main.tf": 0o600, "net/apply.sh": 0o700}


def test_the_whole_tree(filled, tmp_path):
    repo, revision = filled
    checkout(repo.trees, revision, [""], tmp_path / "w")
    assert len(layout(tmp_path / "w")) == 7


def test_a_path_that_is_not_there(filled, tmp_path):
    repo, revision = filled
    for path in ("missing", "net/../top.txt", "/etc", "net/modules/vpc"):
        with pytest.raises(GitError) as caught:
            checkout(repo.trees, revision, [path], tmp_path / "w")
        assert caught.value.reason is GitReason.PATH_NOT_FOUND
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("links", "refused"),
    [
        ({"l": "/etc/passwd"}, "absolute"),
        ({"l": "../x"}, "outside"),
        ({"d/l": "../../x"}, "outside"),
        ({"d/l": "../x"}, None),
        ({"d/e/f/top": "../../..", "l": "d/e/f/top/../x"}, "outside"),
        ({"l": "dangling/x"}, None),
        ({"l": "d/../../x"}, "outside"),
        ({"a": "b", "b": "a"}, "leads back to itself"),
        ({"l": ".git/config"}, "Git directory"),
        ({"l": "x/.GIT/hooks"}, "Git directory"),
    ],
    ids=[
        "absolute",
        "parent",
        "two up",
        "one up",
        "through another link",
        "dangling",
        "down and up",
        "loop",
        "git",
        "GIT",
    ],
)
def test_symlinks(repo, tmp_path, links, refused):
    for name, target in links.items():
        (repo.path / name).parent.mkdir(parents=True, exist_ok=True)
        (repo.path / name).symlink_to(target)
    revision = repo.commit({"d/file": "x"})
    into = tmp_path / "w"
    if refused is None:
        checkout(repo.trees, revision, ["."], into)
        assert {name: str((into / name).readlink()) for name in links} == links
        return
    with pytest.raises(CheckoutRefused) as caught:
        checkout(repo.trees, revision, ["."], into)
    assert refused in caught.value.message
    assert caught.value.path in links
    assert caught.value.reason is GitReason.CHECKOUT_REFUSED
    assert not into.exists(), "refused before anything was written"


def test_a_submodule_is_refused_with_its_path(repo, tmp_path):
    revision = repo.tree_commit([b"160000 commit " + b"1" * 40 + b"\tvendor"])
    with pytest.raises(CheckoutRefused, match="'vendor' is a Git submodule"):
        checkout(repo.trees, revision, ["vendor"], tmp_path / "w")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".git", ".GIT", ".gIt", "git~1", "GIT~1", ".git ", ".git.", ".git. .", ".git::$INDEX_ALLOCATION",
     ".g\u200cit", "\ufeff.git", ".git\\hooks", "a\\.git", "a\0b"],
)  # fmt: skip
def test_names_that_stand_for_a_git_directory(name):
    assert is_unsafe_name(name)


@pytest.mark.parametrize("name", ["git", ".gitignore", ".github", "x.git", "git~2", ".gi", "main.tf", "..."])
def test_names_that_do_not(name):
    assert not is_unsafe_name(name)


@pytest.mark.parametrize("name", [b".git", b".GiT", b"git~1", b".g\xe2\x80\x8cit"])
def test_a_hand_made_tree_cannot_plant_a_git_directory(repo, tmp_path, name):
    inner = repo.git("mktree", "-z", stdin=b"100644 blob " + repo.blob(b"x") + b"\tconfig\0").encode()
    revision = repo.tree_commit([b"040000 tree " + inner + b"\t" + name])
    with pytest.raises(CheckoutRefused):
        checkout(repo.trees, revision, ["."], tmp_path / "w")
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("name", [b"..", b"."])
def test_a_name_that_no_file_can_have_is_left_out(repo, tmp_path, name):
    inner = repo.git("mktree", "-z", stdin=b"100644 blob " + repo.blob(b"x") + b"\tconfig\0").encode()
    revision = repo.tree_commit([b"040000 tree " + inner + b"\t" + name])
    checkout(repo.trees, revision, ["."], tmp_path / "w")
    assert list((tmp_path / "w").iterdir()) == []


def test_a_planted_link_cannot_redirect_a_write(filled, tmp_path):
    repo, revision = filled
    outside = tmp_path / "outside"
    outside.mkdir()
    for planted, at in [("directory", "net"), ("file", "top.txt")]:
        into = tmp_path / planted
        into.mkdir()
        (into / at).symlink_to(outside / "x" if planted == "file" else outside)
        with pytest.raises(CheckoutRefused):
            checkout(repo.trees, revision, ["."], into)
    link = tmp_path / "link"
    link.symlink_to(outside)
    with pytest.raises(CheckoutRefused):
        checkout(repo.trees, revision, ["."], link)
    assert list(outside.iterdir()) == []


def test_nothing_is_overwritten(filled, tmp_path):
    repo, revision = filled
    checkout(repo.trees, revision, ["top.txt"], tmp_path / "w")
    with pytest.raises(CheckoutRefused, match="already exists"):
        checkout(repo.trees, revision, ["top.txt"], tmp_path / "w")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"most_files": 2}, GitReason.TOO_MANY_FILES), ({"most_bytes": 3}, GitReason.FILE_TOO_LARGE)],
    ids=["files", "bytes"],
)
def test_limits(filled, tmp_path, limits, reason):
    repo, revision = filled
    with pytest.raises(GitError) as caught:
        checkout(repo.trees, revision, ["."], tmp_path / "w", **limits)
    assert caught.value.reason is reason
    assert not (tmp_path / "w").exists()


def test_a_full_disk_says_so(filled, tmp_path, monkeypatch):
    repo, revision = filled
    taken = []
    real_write = os.write

    def write(handle, data):
        if taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken.append(handle)
        return real_write(handle, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(GitError) as caught:
        checkout(repo.trees, revision, ["."], tmp_path / "w")
    assert caught.value.reason is GitReason.DISK_FULL


def test_short_writes_are_continued(repo, tmp_path, monkeypatch):
    revision = repo.commit({"f": "0123456789"})
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real_write(handle, data[:3]))
    checkout(repo.trees, revision, ["f"], tmp_path / "w")
    monkeypatch.undo()
    assert (tmp_path / "w/f").read_text() == "0123456789"


@pytest.mark.parametrize("host", ["git-lfs.github.com", "hawser.github.com"])
def test_a_pointer_of_git_lfs_is_refused_by_its_name(repo, tmp_path, host):
    pointer = f"version https://{host}/spec/v1\noid sha256:{'0' * 64}\nsize 1\n"
    revision = repo.commit(
        {"net/big.bin": pointer, "small": "x", "about.md": "version https://git-lfs.github.com/spec/"}
    )
    with pytest.raises(CheckoutRefused, match=r"'net/big\.bin' is a Git LFS pointer.*commit the file itself"):
        checkout(repo.trees, revision, ["."], tmp_path / "w")
    assert not (tmp_path / "w").exists()
    checkout(repo.trees, revision, ["small", "about.md"], tmp_path / "w")


def test_no_handle_is_left_open(filled, tmp_path):
    repo, revision = filled
    trees = repo.trees
    checkout(trees, revision, ["."], tmp_path / "first")
    before = len(list(Path("/proc/self/fd").iterdir()))
    checkout(trees, revision, ["."], tmp_path / "second")
    with pytest.raises(CheckoutRefused):
        checkout(trees, revision, ["."], tmp_path / "second")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_checkout_costs_little_more_than_writing_the_files(repo, tmp_path):
    revision = repo.commit({f"net/{i}.tf": "x" * 500 for i in range(5)})
    trees = repo.trees
    ours, bare = [], []
    for i in range(20):
        started = time.process_time()
        checkout(trees, revision, ["net"], tmp_path / f"w{i}")
        ours.append(time.process_time() - started)
        started = time.process_time()
        (tmp_path / f"b{i}/net").mkdir(parents=True)
        for name in range(5):
            (tmp_path / f"b{i}/net/{name}.tf").write_bytes(b"x" * 500)
        bare.append(time.process_time() - started)
    assert min(ours) < 4 * min(bare)
