import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pygit2
import pytest

from reconciler.git import nearby, refs
from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirror import Mirror


@pytest.fixture
def mirror(repo, tmp_path):
    """Give a mirror that has some directories with files."""
    repo.commit({f"d{number}/f{n}.yaml": f"{number} {n}" for number in range(5) for n in range(3)} | {"top.yaml": "1"})
    mirror = Mirror.open(tmp_path / "mirrors/m.git", repo.url)
    mirror.fetch("main")
    return mirror


def git(directory, *args):
    done = subprocess.run(["git", "-C", directory, *args], capture_output=True, text=True, check=True)
    return done.stdout


def copy_new_objects(mirror, url, branches=("main",)):
    """Bring only; gives the ids of what came, or None."""
    before = packs(mirror)
    came = nearby.copy_new_objects(refs.open_bare(mirror.directory), url, branches)
    new = packs(mirror) - before
    assert len(new) == came
    if not came:
        return None
    return in_pack(new.pop())


def packs(mirror):
    return set((mirror.directory / "objects/pack").glob("*.idx"))


def in_pack(index):
    with index.open("rb") as opened:
        done = subprocess.run(["git", "show-index"], stdin=opened, capture_output=True, text=True, check=True)
    return {line.split()[1] for line in done.stdout.splitlines()}


def assert_whole(mirror):
    """Have Git look for anything that a ref of the mirror reaches and that is not there."""
    done = subprocess.run(
        ["git", "-C", mirror.directory, "fsck", "--full", "--no-dangling"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def new_objects(repo, tip, *known):
    lines = repo.git("rev-list", "--objects", tip, *(f"^{each}" for each in known)).splitlines()
    return {line.split()[0] for line in lines}


# What comes


def test_what_comes_is_what_is_new(repo, mirror):
    old = mirror.tip("main")
    repo.commit({"d1/f1.yaml": "changed"})
    tip = repo.commit({"d2/new/deep.yaml": "new"})
    came = copy_new_objects(mirror, repo.url)
    assert came == new_objects(repo, tip, old)
    assert mirror.tip("main") == old, "no ref moves before the fetch"
    assert mirror.fetch("main") == tip
    assert_whole(mirror)


def test_nothing_comes_where_nothing_is_new(repo, mirror):
    assert copy_new_objects(mirror, repo.url) is None
    tip = repo.commit({"top.yaml": "2"})
    assert copy_new_objects(mirror, repo.url)
    assert copy_new_objects(mirror, repo.url) is None, "it is there already"
    assert mirror.fetch("main") == tip
    assert copy_new_objects(mirror, repo.url) is None


def test_the_fetch_finds_nothing_left_to_bring(repo, mirror):
    before = packs(mirror)
    repo.commit({"top.yaml": "2"})
    mirror.fetch("main")
    assert len(packs(mirror) - before) == 1


def test_the_first_fetch_and_other_remotes_get_no_head_start(repo, mirror, tmp_path):
    empty = Mirror.open(tmp_path / "mirrors/empty.git", repo.url)
    assert empty.trees
    assert copy_new_objects(empty, repo.url) is None
    assert copy_new_objects(mirror, "https://localhost:1/r.git") is None
    assert copy_new_objects(mirror, f"file://{tmp_path}/nowhere") is None


def _merge(repo):
    repo.git("checkout", "-q", "-b", "side", "HEAD~1")
    repo.commit({"side/a.yaml": "side", "d1/f0.yaml": "side"})
    repo.git("checkout", "-q", "main")
    repo.commit({"main.yaml": "main"})
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "side")


def _to_directory(repo):
    repo.commit({"top.yaml": None})
    repo.commit({"top.yaml/below.yaml": "1"})


def _empty_directory(repo):
    empty = repo.git("mktree", stdin=b"")
    repo.tree_commit([b"040000 tree " + empty.encode() + b"\tempty", b"100644 blob " + repo.blob(b"x") + b"\tx.yaml"])


def _names(repo):
    below = repo.git("mktree", stdin=b"100644 blob " + repo.blob(b"hidden") + b"\tf\n").encode()
    tree = b"40000 ..\0" + bytes.fromhex(below.decode()) + b"100644 a\0" + bytes.fromhex(repo.blob(b"b").decode())
    made = repo.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=tree)
    repo.git("update-ref", "refs/heads/main", repo.git("commit-tree", made, "-m", "names", "-p", "main"))


def _submodule(repo):
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    repo.git("commit", "-q", "-m", "submodule")


def _symlink(repo):
    (repo.path / "link").symlink_to("d1")
    repo.commit()


def _revert(repo):
    repo.commit({"d1/f0.yaml": "2", "top.yaml": "2"})
    repo.commit({"d1/f0.yaml": "1 0", "top.yaml": "1"})


def _orphan(repo):
    repo.git("checkout", "-q", "--orphan", "fresh")
    repo.commit({"fresh.yaml": "1"})
    repo.git("branch", "-M", "fresh", "main")


HISTORIES = {
    "a merge": _merge,
    "an empty commit": lambda repo: repo.commit(),
    "a deletion": lambda repo: repo.commit({"d1/f0.yaml": None, "d2/f0.yaml": None}),
    "a directory moved": lambda repo: (repo.git("mv", "d1", "moved"), repo.commit()),
    "a directory copied": lambda repo: (shutil.copytree(repo.path / "d1", repo.path / "copy"), repo.commit()),
    "a mode": lambda repo: ((repo.path / "top.yaml").chmod(0o755), repo.commit()),
    "a file to a directory": _to_directory,
    "an empty directory": _empty_directory,
    "names that no file can have": _names,
    "a submodule": _submodule,
    "a symlink": _symlink,
    "changed and changed back": _revert,
    "unrelated": _orphan,
    "amended": lambda repo: (repo.commit({"top.yaml": "2"}), repo.git("commit", "-q", "--amend", "-m", "other")),
}


@pytest.mark.parametrize("change", HISTORIES.values(), ids=HISTORIES.keys())
@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
def test_whatever_changed_comes_whole(repo, mirror, change, packed):
    repo.commit({"d3/f0.yaml": "before"})
    mirror.fetch("main")
    change(repo)
    if packed:
        repo.git("repack", "-a", "-d", "-q")
    tip = repo.git("rev-parse", "main")
    old = mirror.tip("main")
    assert copy_new_objects(mirror, repo.url) >= new_objects(repo, tip, old)
    assert mirror.fetch("main") == tip
    assert mirror.trees.is_complete(tip, history=True)
    git(mirror.directory, "rev-list", "--objects", "--quiet", tip)
    for object_id in new_objects(repo, tip):
        git(mirror.directory, "cat-file", "-e", object_id)
    assert mirror.trees.listing(tip, "") == repo.trees.listing(tip, "")


def test_branches_that_are_followed_come_together_and_no_others(repo, mirror):
    repo.git("branch", "dev")
    mirror.fetch_all(["main", "dev"])
    repo.git("checkout", "-q", "-b", "other")
    other = repo.commit({"other.yaml": "1"})
    repo.git("checkout", "-q", "dev")
    dev = repo.commit({"dev.yaml": "1"})
    repo.git("checkout", "-q", "main")
    main = repo.commit({"main.yaml": "1"})
    assert mirror.fetch_all(["main", "dev"]) == {"main": main, "dev": dev}
    assert not mirror.trees.has(other)
    assert_whole(mirror)


def test_a_rewound_branch_and_forward_again(repo, mirror):
    one = mirror.tip("main")
    two = repo.commit({"top.yaml": "2"})
    mirror.fetch("main")
    repo.git("reset", "-q", "--hard", one)
    assert mirror.fetch("main") == one
    repo.git("reset", "-q", "--hard", two)
    three = repo.commit({"top.yaml": "3"})
    assert mirror.fetch("main") == three
    assert_whole(mirror)


def test_presence_alone_proves_nothing(repo, mirror):
    """What an old revision had is lost from the mirror unseen; a change back to it brings it again."""
    old = mirror.tip("main")
    repo.commit({"d1/f0.yaml": "2"})
    mirror.fetch("main")
    lost = repo.git("rev-parse", f"{old}:d1/f0.yaml")
    for index in packs(mirror):
        pack = index.with_suffix(".pack")
        data = pack.read_bytes()
        pack.unlink()
        index.unlink()
        subprocess.run(["git", "-C", mirror.directory, "unpack-objects", "-q"], input=data, check=True)
    (mirror.directory / "objects" / lost[:2] / lost[2:]).unlink()
    again = Mirror.open(mirror.directory, repo.url)
    back = repo.commit({"d1/f0.yaml": "1 0"})
    assert repo.git("rev-parse", f"{back}:d1") == repo.git("rev-parse", f"{old}:d1")
    assert again.fetch("main") == back
    assert again.trees.read(back, "d1/f0.yaml") == b"1 0"
    assert again.trees.is_complete(back)


# How much


@pytest.mark.parametrize("limit", ["MOST_COMMITS", "MOST_OBJECTS", "MOST_BYTES"])
def test_more_than_a_head_start_is_good_for_is_left_to_the_fetch(repo, mirror, monkeypatch, limit):
    old = mirror.tip("main")
    for number in range(3):
        tip = repo.commit({"top.yaml": f"{number}" * 100})
    monkeypatch.setattr(nearby, limit, 2)
    assert copy_new_objects(mirror, repo.url) is None
    assert mirror.fetch("main") == tip
    assert mirror.trees.first_parent_chain(old, tip)[-1] == tip
    assert_whole(mirror)


def test_other_directories_are_not_looked_at(repo, mirror):
    unread = repo.git("rev-parse", "main:d4")
    tip = repo.commit({"d1/f0.yaml": "2"})
    (repo.path / ".git/objects" / unread[:2] / unread[2:]).unlink()
    names = (tip, f"{tip}^{{tree}}", f"{tip}:d1", f"{tip}:d1/f0.yaml")
    assert copy_new_objects(mirror, repo.url) == {repo.git("rev-parse", name) for name in names}
    assert mirror.fetch("main") == tip
    assert mirror.trees.read(tip, "d4/f0.yaml") == b"4 0"
    assert_whole(mirror)


# Remotes that are not whole


def _object(repo, name):
    object_id = repo.git("rev-parse", name)
    return repo.path / ".git/objects" / object_id[:2] / object_id[2:]


def _alter(path):
    other = pygit2.Repository(str(path.parents[2]))
    changed = str(other.create_blob(b"another content"))
    path.chmod(0o600)
    path.write_bytes((path.parents[1] / changed[:2] / changed[2:]).read_bytes())


REMOTE_DAMAGE = {
    "a file gone": lambda repo: _object(repo, "main:d1/f0.yaml").unlink(),
    "a directory gone": lambda repo: _object(repo, "main:d1").unlink(),
    "the top gone": lambda repo: _object(repo, "main^{tree}").unlink(),
    "a commit gone": lambda repo: _object(repo, "main~1").unlink(),
    "a file altered": lambda repo: _alter(_object(repo, "main:d1/f0.yaml")),
    "a directory altered": lambda repo: _alter(_object(repo, "main:d1")),
    "a file emptied": lambda repo: _empty(_object(repo, "main:d1/f0.yaml")),
}


def _empty(path):
    path.chmod(0o600)
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", REMOTE_DAMAGE.values(), ids=REMOTE_DAMAGE.keys())
def test_a_remote_that_is_not_whole(repo, mirror, damage, monkeypatch):
    old = mirror.tip("main")
    repo.commit({"d2/f0.yaml": "2"})
    tip = repo.commit({"d1/f0.yaml": "2 and more than that"})
    kept = repo.path.with_name("kept")
    shutil.copytree(repo.path / ".git", kept, symlinks=True)
    damage(repo)
    with monkeypatch.context() as alone:
        alone.setattr(nearby, "copy_new_objects", lambda *_: False)
        with pytest.raises(GitError) as expected:
            mirror.fetch("main")
    before = packs(mirror)
    assert copy_new_objects(mirror, repo.url) is None
    with pytest.raises(GitError) as caught:
        mirror.fetch("main")
    assert caught.value.reason is expected.value.reason is GitReason.FETCH_FAILED
    assert caught.value.message == expected.value.message
    assert mirror.tip("main") == old
    assert packs(mirror) == before
    assert not list((mirror.directory / "objects/pack").glob("pack_git2_*"))
    shutil.rmtree(repo.path / ".git")
    kept.rename(repo.path / ".git")
    assert mirror.fetch("main") == tip
    assert_whole(mirror)


def test_a_directory_that_is_named_as_a_file_is_left_to_the_fetch(repo, mirror):
    below = repo.git("mktree", stdin=b"100644 blob " + repo.blob(b"below") + b"\tf\n")
    blob = bytes.fromhex(below)
    tree = repo.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=b"100644 a\0" + blob)
    repo.git("update-ref", "refs/heads/main", repo.git("commit-tree", tree, "-m", "wrong", "-p", "main"))
    assert copy_new_objects(mirror, repo.url) is None


# Repositories of other shapes


def test_a_shallow_remote(repo, mirror, tmp_path):
    for number in range(3):
        repo.commit({"top.yaml": f"shallow {number}"})
    subprocess.run(["git", "clone", "-q", "--bare", "--depth=1", repo.url, tmp_path / "shallow.git"], check=True)
    shallow = Mirror.open(tmp_path / "mirrors/shallow.git", f"file://{tmp_path}/shallow.git")
    shallow.fetch("main")
    tip = repo.commit({"top.yaml": "later"})
    git(tmp_path / "shallow.git", "fetch", "-q", "--depth=1", repo.url, "+main:main")
    assert shallow.fetch("main") == tip
    assert shallow.trees.is_complete(tip)


def test_a_remote_without_all_files(repo, mirror, tmp_path):
    repo.git("config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial.git"
    subprocess.run(["git", "clone", "-q", "--bare", "--filter=blob:none", repo.url, partial], check=True)
    copy = Mirror.open(tmp_path / "mirrors/copy.git", f"file://{partial}")
    shutil.copytree(mirror.directory, copy.directory)
    repo.commit({"top.yaml": "2"})
    git(partial, "fetch", "-q", "origin", "+main:main")
    assert copy_new_objects(copy, copy.url) is None
    with pytest.raises(GitError) as caught:
        copy.fetch("main")
    assert caught.value.reason is GitReason.FETCH_FAILED
    assert copy.tip("main") == mirror.tip("main")


def test_remotes_by_other_names(repo, mirror, tmp_path):
    borrowed = tmp_path / "bor rowed.git"
    subprocess.run(["git", "clone", "-q", "--bare", "--shared", repo.path, borrowed], check=True)
    repo.git("worktree", "add", "-q", "--detach", tmp_path / "worktree")
    (tmp_path / "link").symlink_to(repo.path)
    tip = repo.commit({"top.yaml": "2"})
    git(borrowed, "update-ref", "refs/heads/main", tip)
    for number, url in enumerate(
        (
            f"file://{tmp_path}/bor%20rowed.git",
            f"file://{tmp_path}/bor rowed.git",
            f"file://localhost{repo.path}",
            f"file://{tmp_path}/link",
            f"file://{tmp_path}/worktree",
            f"file://{repo.path}/.git/",
        )
    ):
        copy = Mirror.open(tmp_path / f"mirrors/{number}.git", url)
        shutil.copytree(mirror.directory, copy.directory)
        assert copy_new_objects(copy, url), url
        assert copy.fetch("main") == tip
        assert_whole(copy)


# Kills

KILLED = """
import os, signal, sys
from pathlib import Path
from reconciler.git import transfer
from reconciler.git.mirror import Mirror
if sys.argv[3] == "between":
    transfer.fetch = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
print("go", flush=True)
Mirror.open(Path(sys.argv[1]), sys.argv[2]).fetch("main")
"""


def _start(mirror, url, when):
    command = [sys.executable, "-c", KILLED, mirror.directory, url, when]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    process.stdout.readline()
    return process


def test_a_kill_between_the_head_start_and_the_fetch(repo, mirror):
    old = mirror.tip("main")
    tip = repo.commit({"d1/f0.yaml": "2"})
    before = packs(mirror)
    process = _start(mirror, repo.url, "between")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len(packs(mirror) - before) == 1
    again = Mirror.open(mirror.directory, repo.url)
    assert again.tip("main") == old
    assert again.fetch("main") == tip
    assert len(packs(mirror) - before) == 1
    assert_whole(again)


@pytest.mark.chaos
def test_kills_at_any_time(repo, mirror):
    for pause in (0.0, 0.003, 0.006, 0.01, 0.015, 0.02, 0.03, 0.05):
        repo.commit({f"d{number}/f0.yaml": os.urandom(20_000) for number in range(100)})
        process = _start(mirror, repo.url, "by chance")
        time.sleep(pause)
        process.kill()
        process.communicate()
        assert_whole(mirror)
    again = Mirror.open(mirror.directory, repo.url)
    assert again.fetch("main") == repo.git("rev-parse", "main")
    assert_whole(again)
    assert not list(mirror.directory.rglob("*.lock")) + list(mirror.directory.rglob("pack_git2_*"))
