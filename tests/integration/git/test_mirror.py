import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirror import Mirror
from reconciler.git.mirrors import Mirrors, Remote
from reconciler.git.packs import compact
from reconciler.git.remote import Credentials


@pytest.fixture
def mirror(repo, tmp_path):
    return Mirror.open(tmp_path / "mirrors/m.git", repo.url)


def reason(mirror, branch="main", **options):
    with pytest.raises(GitError) as caught:
        mirror.fetch(branch, **options)
    assert "\n" not in caught.value.message
    return caught.value.reason


def test_one_branch_without_tags_or_others(repo, mirror):
    revision = repo.commit({"a.yaml": "1"})
    repo.git("tag", "v1")
    repo.git("branch", "other")
    repo.commit({"b.yaml": "1"})
    repo.git("reset", "-q", "--hard", revision)
    assert mirror.tip("main") is None
    assert mirror.fetch("main") == revision == mirror.tip("main")
    assert mirror.tip("other") is None
    assert mirror.trees.files(revision) == {"a.yaml": b"1"}
    refs = repo.git("for-each-ref", "--format=%(refname)").split()
    held = subprocess.run(["git", "-C", mirror.directory, "for-each-ref", "--format=%(refname)"], capture_output=True, text=True, check=True)  # fmt: skip
    assert "refs/tags/v1" in refs
    assert held.stdout.split() == ["refs/station/tip/main"]


def test_new_commits_are_seen_by_trees_opened_before(repo, mirror):
    repo.commit({"a.yaml": "1"})
    mirror.fetch("main")
    trees = mirror.trees
    revision = repo.commit({"a.yaml": "2"})
    assert mirror.fetch("main") == revision
    assert trees.read(revision, "a.yaml") == b"2"


def test_a_rewound_branch_is_followed_and_visible_as_such(repo, mirror):
    one = repo.commit({"a": "1"})
    two = repo.commit({"a": "2"})
    mirror.fetch("main")
    repo.git("reset", "-q", "--hard", one)
    assert mirror.fetch("main") == one
    assert mirror.trees.first_parent_chain(two, one) is None
    assert mirror.trees.read(two, "a") == b"2", "what was in force stays readable"


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda repo: None, GitReason.REPOSITORY_EMPTY),
        (lambda repo: (repo.commit({"a": "1"}), repo.git("branch", "-m", "trunk")), GitReason.BRANCH_NOT_FOUND),
        (lambda repo: shutil.rmtree(repo.path), GitReason.FETCH_FAILED),
        (lambda repo: shutil.rmtree(repo.path / ".git/objects"), GitReason.FETCH_FAILED),
    ],
    ids=["empty", "no such branch", "gone", "not a repository any more"],
)
def test_remotes_without_the_branch(repo, mirror, prepare, expected):
    prepare(repo)
    assert reason(mirror) is expected
    assert mirror.tip("main") is None


def test_a_deleted_branch_leaves_the_last_tip(repo, mirror):
    revision = repo.commit({"a": "1"})
    mirror.fetch("main")
    repo.git("checkout", "-q", "-b", "other")
    repo.git("branch", "-D", "main")
    assert reason(mirror) is GitReason.BRANCH_NOT_FOUND
    assert mirror.tip("main") == revision
    assert mirror.trees.read(revision, "a") == b"1"


def test_several_branches_and_one_that_is_missing(repo, mirror):
    main = repo.commit({"a": "1"})
    repo.git("branch", "feature/x")
    results = mirror.fetch_all(["main", "feature/x", "nope"])
    assert (results["main"], results["feature/x"]) == (main, main)
    assert results["nope"].reason is GitReason.BRANCH_NOT_FOUND


def test_tips_that_nobody_needs_are_let_go_once_they_are_many(repo, mirror):
    repo.commit({"a": "1"})
    for name in ("a", "b/c"):
        repo.git("branch", name)
    mirror.fetch_all(["main", "a", "b/c"])
    mirror.forget_all_but({"main"}, most=3)
    assert [mirror.tip(ref) for ref in ("main", "a", "b/c")] == [repo.head()] * 3
    mirror.forget_all_but({"main", "b/c"}, most=2)
    assert [mirror.tip(ref) for ref in ("main", "a", "b/c")] == [repo.head(), None, repo.head()]


def test_a_branch_whose_name_was_a_directory_before(repo, mirror):
    revision = repo.commit({"a": "1"})
    repo.git("branch", "a/b")
    assert mirror.fetch("a/b") == revision
    repo.git("branch", "-D", "a/b")
    repo.git("branch", "a")
    assert mirror.fetch("a") == revision
    assert mirror.tip("a/b") == revision


@pytest.mark.parametrize("branch", ["--upload-pack=x", "a:b", "+main", "refs/heads/main", "a b"])
def test_branch_names_cannot_be_more_than_that(repo, mirror, branch):
    repo.commit({"a": "1"})
    if branch == "+main":
        assert reason(mirror, branch) is GitReason.BRANCH_NOT_FOUND
        return
    with pytest.raises(ValueError):
        mirror.fetch(branch)


@pytest.mark.parametrize("url", ["--upload-pack=touch x", "ext::sh -c touch% x", "/tmp/x"])
def test_urls_off_the_list_are_never_opened(tmp_path, url):
    with pytest.raises(ValueError):
        Mirror.open(tmp_path / "m.git", url)


def test_the_users_configuration_has_no_say(repo, tmp_path):
    revision = repo.commit({"a.txt": "x\n"})
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[url "file:///nowhere/"]\n\tinsteadOf = {repo.url}\n[core]\n\tautocrlf = true\n')
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        from reconciler.git.mirror import Mirror
        print(Mirror.open(Path({str(tmp_path / "own.git")!r}), {repo.url!r}).fetch("main"))
        """
    )
    done = subprocess.run([sys.executable, "-c", script], env={"HOME": str(home), "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])  # fmt: skip
    assert done.stdout.strip() == revision


# Damage


def _delete_packs(directory):
    for pack in (directory / "objects/pack").iterdir():
        pack.unlink()


def _cut_packs(directory):
    for pack in (directory / "objects/pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:40])


def _scribble_idx(directory):
    for index in (directory / "objects/pack").glob("*.idx"):
        index.chmod(0o600)
        index.write_bytes(b"\0" * 100)


DAMAGE = {
    "packs gone": _delete_packs,
    "packs cut": _cut_packs,
    "index scribbled": _scribble_idx,
    "no HEAD": lambda directory: (directory / "HEAD").unlink(),
    "no objects": lambda directory: shutil.rmtree(directory / "objects"),
    "half made": lambda directory: [shutil.rmtree(directory), directory.mkdir()],
    "garbled config": lambda directory: (directory / "config").write_text("[[["),
    "garbled tip": lambda directory: (directory / "refs/station/tip/main").write_text("garbage\n"),
    "a file in its place": lambda directory: [shutil.rmtree(directory), directory.write_text("x")],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_mirror_is_made_anew(repo, mirror, damage):
    one = repo.commit({"a.yaml": "1"})
    mirror.fetch("main")
    damage(mirror.directory)
    again = Mirror.open(mirror.directory, repo.url)
    two = repo.commit({"a.yaml": "2"})
    assert again.fetch("main") == two
    assert again.trees.files(two) == {"a.yaml": b"2"}
    assert again.trees.first_parent_chain(one, two) == [two]


def test_a_mirror_that_loses_objects_while_open_is_made_anew(repo, mirror):
    revision = repo.commit({"a.yaml": "1"})
    mirror.fetch("main")
    mirror.keep(revision)
    _delete_packs(mirror.directory)
    fresh = Mirror.open(mirror.directory, repo.url)
    with pytest.raises(GitError):
        fresh.trees.files(revision)
    assert fresh.fetch("main") == revision
    assert fresh.trees.files(revision) == {"a.yaml": b"1"}
    assert fresh.kept() == [revision]


def test_a_lost_blob_is_noticed_on_reading(repo, mirror):
    revision = repo.commit({"a.yaml": "1"})
    mirror.fetch("main")
    packs = mirror.directory / "objects/pack"
    pack = next(packs.glob("*.pack")).read_bytes()
    _delete_packs(mirror.directory)
    subprocess.run(["git", "-C", mirror.directory, "unpack-objects", "-q"], input=pack, check=True)
    blob = repo.git("rev-parse", "main:a.yaml")
    (mirror.directory / "objects" / blob[:2] / blob[2:]).unlink()
    trees = mirror.trees
    with pytest.raises(GitError) as caught:
        trees.files(revision)
    assert caught.value.reason is GitReason.REPOSITORY_CORRUPT
    repo.commit({"b.yaml": "1"})
    tip = mirror.fetch("main")
    assert mirror.trees.files(tip) == {"a.yaml": b"1", "b.yaml": b"1"}


def test_a_damaged_mirror_stays_while_the_remote_is_down(repo, mirror):
    repo.commit({"a.yaml": "1"})
    mirror.fetch("main")
    (mirror.directory / "HEAD").unlink()
    hidden = repo.path.rename(repo.path.with_name("hidden"))
    again = Mirror.open(mirror.directory, repo.url)
    assert reason(again) is GitReason.FETCH_FAILED
    assert list((mirror.directory / "objects/pack").glob("*.pack")), "what was left is still there"
    hidden.rename(repo.path)
    assert again.fetch("main") == repo.git("rev-parse", "main")


def test_left_over_locks_of_a_killed_process_do_not_hinder(repo, mirror):
    repo.commit({"a": "1"})
    mirror.fetch("main")
    tip = repo.commit({"a": "2"})
    for lock in ("refs/station/tip/main.lock", "refs/station/incoming/main.lock", "packed-refs.lock", "HEAD.lock"):
        (mirror.directory / lock).parent.mkdir(parents=True, exist_ok=True)
        (mirror.directory / lock).write_text("")
    (mirror.directory / "objects/pack/pack_git2_abc").write_bytes(b"half")
    assert Mirror.open(mirror.directory, repo.url).fetch("main") == tip
    assert not list(mirror.directory.rglob("*.lock")) + list(mirror.directory.rglob("pack_git2_*"))


# What is kept


def test_keeping_revisions(repo, mirror):
    one = repo.commit({"a": "1"})
    mirror.fetch("main")
    mirror.keep(one)
    mirror.keep(one)
    assert mirror.kept() == [one]
    mirror.release(one)
    mirror.release(one)
    assert mirror.kept() == []
    with pytest.raises(GitError) as caught:
        mirror.keep("0" * 40)
    assert caught.value.reason is GitReason.REVISION_NOT_FOUND


def test_packs_are_merged_under_a_reader_that_never_opened_them(repo, mirror):
    revisions = []
    for number in range(6):
        revisions.append(repo.commit({f"{number}.yaml": str(number) * 50}))
        mirror.fetch("main")
    trees = mirror.trees
    assert trees.read(revisions[0], "0.yaml") == b"0" * 50
    assert compact(mirror.directory, most=3)
    assert not compact(mirror.directory, most=3)
    assert len(list((mirror.directory / "objects/pack").glob("*.pack"))) == 2
    for reader in (trees, Mirror.open(mirror.directory, repo.url).trees):
        assert [reader.read(r, f"{n}.yaml") for n, r in enumerate(revisions)] == [
            str(n).encode() * 50 for n in range(6)
        ]
    assert mirror.fetch("main") == revisions[-1]


# Many at once


def test_all_remotes_once_each_and_apart_in_failure(make_repo, tmp_path):
    repos = [make_repo(f"r{number}") for number in range(4)]
    tips = [repo.commit({"a": str(number)}) for number, repo in enumerate(repos)]
    repos[0].git("branch", "dev")
    missing = Remote(f"file://{tmp_path}/nowhere", "main")
    bad = Remote("ext::sh -c x", "main")
    dev = Remote(repos[0].url, "dev")
    wanted = [Remote(repo.url, "main") for repo in repos]
    mirrors = Mirrors(tmp_path / "mirrors")
    results = mirrors.fetch_all([*wanted, *wanted, dev, missing, bad])
    assert [results[remote] for remote in wanted] == tips
    assert results[dev] == tips[0]
    assert (results[missing].reason, results[bad].reason) == (GitReason.FETCH_FAILED, GitReason.FETCH_FAILED)
    assert len(results) == 7
    assert mirrors.mirror(repos[0].url) is mirrors.mirror(repos[0].url)
    assert mirrors.fetch_all([]) == {}


def test_many_threads_on_one_mirror(repo, tmp_path):
    tips = {repo.commit({"a.yaml": str(number)}) for number in range(3)}
    mirrors = Mirrors(tmp_path / "mirrors")
    failures = []

    def work(number):
        try:
            for _ in range(8):
                mirror = (
                    mirrors.mirror(repo.url)
                    if number % 2
                    else Mirror.open(mirrors.mirror(repo.url).directory, repo.url)
                )
                revision = mirror.fetch("main")
                assert revision in tips
                mirror.keep(revision)
                assert mirror.trees.files(revision)
                mirror.release(revision)
        except (GitError, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.chaos
def test_kill_in_the_middle_of_a_fetch(repo, tmp_path):
    for number in range(3):
        repo.commit({f"d{number}/{i}": os.urandom(3000) for i in range(300)})
    directory = tmp_path / "mirrors/m.git"
    script = f"from pathlib import Path; from reconciler.git.mirror import Mirror; print('go', flush=True); Mirror.open(Path({str(directory)!r}), {repo.url!r}).fetch('main')"  # fmt: skip
    for pause in (0.0, 0.003, 0.01, 0.02, 0.04):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
        )
        process.stdout.readline()
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        mirror = Mirror.open(directory, repo.url)
        revision = mirror.tip("main")
        if revision is not None:
            assert mirror.trees.is_complete(revision, history=True)
    revision = Mirror.open(directory, repo.url).fetch("main")
    assert revision == repo.git("rev-parse", "main")
    assert not list(directory.rglob("*.lock")) + list(directory.rglob("pack_git2_*"))


def test_credentials_are_ignored_where_nobody_asks(repo, mirror):
    revision = repo.commit({"a": "1"})
    assert mirror.fetch("main", Credentials("bob", "hunter2")) == revision


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: raw.replace(b"parent ", b"PARENT "), id="parent in capitals"),
        pytest.param(lambda raw: raw.partition(b"\n")[0] + b"\n" + raw, id="two trees"),
        pytest.param(lambda raw: raw[: raw.index(b"author ")] + raw[raw.index(b"committer ") :], id="no author"),
        pytest.param(lambda raw: raw.replace(b" +0000", b"9" * 20 + b" +0000"), id="no time"),
    ],
)
@pytest.mark.parametrize("on_top", [False, True], ids=["the tip", "below the tip"])
def test_a_malformed_commit_is_said_and_hinders_nothing_once_it_is_gone(repo, mirror, change, on_top):
    repo.commit({"a": "1"})
    sound = repo.commit({"a": "2"})
    assert mirror.fetch("main") == sound
    raw = subprocess.run(["git", "cat-file", "commit", sound], cwd=repo.path, capture_output=True, check=True).stdout
    bad = repo.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=change(raw))
    if on_top:
        above = raw.replace(raw.partition(b"parent ")[2][:40], bad.encode())
        bad = repo.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=above)
    repo.git("update-ref", "refs/heads/main", bad)
    with pytest.raises(GitError, match="a commit or tag that Git cannot read") as caught:
        mirror.fetch("main")
    assert (caught.value.reason, mirror.tip("main")) == (GitReason.FETCH_FAILED, sound)
    repo.git("update-ref", "refs/heads/main", sound)
    assert mirror.fetch("main") == sound
