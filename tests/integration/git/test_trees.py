import time

import pytest

from reconciler.git.errors import GitError, GitReason
from reconciler.git.objects import EntryKind
from reconciler.git.trees import Trees


@pytest.fixture
def filled(repo):
    (repo.path / "bin").mkdir()
    (repo.path / "bin/run").write_text("#!/bin/sh\n")
    (repo.path / "bin/run").chmod(0o755)
    (repo.path / "link.yaml").symlink_to("a/one.yaml")
    (repo.path / "linked").symlink_to("a")
    return repo, repo.commit({"a/one.yaml": "1", "a/b/two.yml": "2", "a/readme.md": "3", "top.yaml": "4"})


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", EntryKind.TREE),
        (".", EntryKind.TREE),
        ("a", EntryKind.TREE),
        ("./a/", EntryKind.TREE),
        ("a/one.yaml", EntryKind.BLOB),
        ("bin/run", EntryKind.EXECUTABLE),
        ("link.yaml", EntryKind.SYMLINK),
        ("linked", EntryKind.SYMLINK),
        ("linked/one.yaml", None),
        ("a/one.yaml/x", None),
        ("missing", None),
        ("a/../top.yaml", None),
        ("../repo/top.yaml", None),
        ("/top.yaml", None),
        ("a\0b", None),
    ],
)
def test_what_lies_at_a_path(filled, path, kind):
    repo, revision = filled
    entry = repo.trees.entry(revision, path)
    assert (entry.kind if entry else None) == kind
    if entry and path not in ("", "."):
        assert entry.id == repo.git("rev-parse", f"{revision}:{path.strip('./')}")


def test_files_by_suffix_without_symlinks(filled):
    repo, revision = filled
    assert repo.trees.files(revision) == {"a/one.yaml": b"1", "a/b/two.yml": b"2", "top.yaml": b"4"}
    assert repo.trees.files(revision, "a", (".md",)) == {"a/readme.md": b"3"}
    assert repo.trees.files(revision, "./a/b/") == {"a/b/two.yml": b"2"}
    assert repo.trees.files(revision, "missing") == {}


def test_listing_is_relative_and_sorted(filled):
    repo, revision = filled
    assert [path for path, _ in repo.trees.listing(revision, "a")] == ["b/two.yml", "one.yaml", "readme.md"]
    assert [path for path, _ in repo.trees.listing(revision, "top.yaml")] == [""]


def test_reading_has_limits(filled):
    repo, revision = filled
    assert repo.trees.read(revision, "top.yaml") == b"4"
    for path, limit, reason in [
        ("missing", 10, GitReason.PATH_NOT_FOUND),
        ("a", 10, GitReason.PATH_NOT_FOUND),
        ("link.yaml", 99, GitReason.PATH_NOT_FOUND),
        ("top.yaml", 0, GitReason.FILE_TOO_LARGE),
    ]:
        with pytest.raises(GitError) as caught:
            repo.trees.read(revision, path, limit)
        assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        (["a/**"], ["a/b/two.yml", "a/one.yaml", "a/readme.md"]),
        (["a"], ["a/b/two.yml", "a/one.yaml", "a/readme.md"]),
        (["*.yaml"], ["link.yaml", "top.yaml"]),
        (["**/*.yml", "top.yaml"], ["a/b/two.yml", "top.yaml"]),
        (["top.yaml/**"], []),
        (["missing/**"], []),
        (["a/*"], ["a/one.yaml", "a/readme.md"]),
    ],
)
def test_globs(filled, globs, expected):
    repo, revision = filled
    assert repo.trees.match(revision, globs) == expected


def test_changes_between_two_revisions(filled):
    repo, old = filled
    (repo.path / "a/b/two.yml").unlink()
    (repo.path / "a/b/two.yml").symlink_to("../one.yaml")
    (repo.path / "link.yaml").unlink()
    new = repo.commit(
        {"a/one.yaml": "changed", "top.yaml": None, "new/three.yaml": "3", "a/readme.md": "x", "link.yaml": "real"}
    )
    trees = repo.trees
    assert trees.changed_files(old, new) == {
        "a/one.yaml": b"changed",
        "a/b/two.yml": None,
        "top.yaml": None,
        "new/three.yaml": b"3",
        "link.yaml": b"real",
    }
    assert trees.changed_files(old, new, "a") == {"a/one.yaml": b"changed", "a/b/two.yml": None}
    assert trees.changed_files(None, old, "a") == {"a/one.yaml": b"1", "a/b/two.yml": b"2"}
    assert trees.changed_files(old, old) == {}
    assert trees.changed_paths(old, new) == [
        "a/b/two.yml", "a/one.yaml", "a/readme.md", "link.yaml", "new/three.yaml", "top.yaml",
    ]  # fmt: skip


def test_a_directory_that_becomes_a_file_and_back(repo):
    old = repo.commit({"x/a.yaml": "1", "y.yaml": "2"})
    (repo.path / "x/a.yaml").unlink()
    (repo.path / "x").rmdir()
    (repo.path / "y.yaml").unlink()
    new = repo.commit({"x": "file", "y.yaml/b.yaml": "3"})
    assert repo.trees.changed_files(old, new) == {"x/a.yaml": None, "y.yaml": None, "y.yaml/b.yaml": b"3"}
    assert repo.trees.changed_files(new, old) == {"x/a.yaml": b"1", "y.yaml": b"2", "y.yaml/b.yaml": None}


def test_counting_changes(filled):
    repo, old = filled
    new = repo.commit({"a/one.yaml": "changed", "a/b/new": "x"})
    trees = repo.trees
    before, after = trees.entry(old, "a").id, trees.entry(new, "a").id
    assert trees.count_changes(before, after) == 2
    assert trees.count_changes(before, before) == 0
    assert trees.count_changes(trees.entry(old, "a/one.yaml").id, trees.entry(new, "a/one.yaml").id) == 1
    assert trees.count_changes("0" * 40, after) is None
    assert trees.count_changes("not an id", after) is None


def test_first_parent_chain(repo):
    one = repo.commit({"a": "1"})
    repo.git("checkout", "-q", "-b", "side")
    side = repo.commit({"b": "1"})
    repo.git("checkout", "-q", "main")
    two = repo.commit({"c": "1"})
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    merge = repo.git("rev-parse", "HEAD")
    trees = repo.trees
    assert trees.first_parent_chain(one, merge) == [two, merge]
    assert trees.first_parent_chain(merge, merge) == []
    assert trees.first_parent_chain(side, merge) == [merge], "merged, but beside the chain"
    assert trees.first_parent_chain(merge, two) is None, "rewound"
    assert trees.first_parent_chain("0" * 40, merge) is None
    assert trees.is_ancestor(side, merge)
    assert trees.is_ancestor(merge, merge)
    assert not trees.is_ancestor(merge, side)
    info = trees.commit(merge)
    assert info.parents == (two, side)
    assert (info.author_name, info.committer_email, info.summary) == ("Ada", "ada@example.org", "merge")


def test_commits_since(repo):
    one = repo.commit({"a": "1"})
    repo.git("checkout", "-q", "-b", "side")
    side = repo.commit({"b": "1"})
    repo.git("checkout", "-q", "main")
    two = repo.commit({"c": "1"})
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    merge = repo.git("rev-parse", "HEAD")

    def since(base, tip, most=10):
        return [commit.revision for commit in repo.trees.commits_since(base, tip, most)]

    assert (since(two, merge), since(two, merge, 1), since(merge, two)) == ([merge, side], [merge], [])
    assert set(since(None, merge)) == set(since("0" * 40, merge)) == {merge, side, two, one}
    with pytest.raises(GitError):
        since(one, "0" * 40)


def test_resolving(repo):
    one = repo.commit({"a": "1"})
    repo.git("tag", "-a", "-m", "t", "v1")
    two = repo.commit({"a": "2"})
    trees = repo.trees
    assert [trees.resolve(ref) for ref in ("main", "HEAD", "v1", "HEAD~1", one[:10], two)] == [
        two,
        two,
        one,
        one,
        one,
        two,
    ]
    assert [trees.resolve(ref) for ref in ("nope", "", "-x", "a\nb", "HEAD:a", "0" * 40)] == [None] * 6


def test_replacements_and_grafts_are_ignored(repo):
    one = repo.commit({"a.yaml": "1"})
    two = repo.commit({"a.yaml": "2"})
    evil = repo.commit({"a.yaml": "evil"})
    repo.git("reset", "-q", "--hard", two)
    repo.git("replace", two, evil)
    (repo.path / ".git/info").mkdir(exist_ok=True)
    (repo.path / ".git/info/grafts").write_text(f"{two}\n")
    trees = repo.trees
    assert trees.read(two, "a.yaml") == b"2"
    assert trees.commit(two).parents == (one,)
    assert trees.first_parent_chain(one, two) == [two]


def test_worktrees_and_alternates_are_followed(repo, tmp_path):
    revision = repo.commit({"a.yaml": "1"})
    repo.git("worktree", "add", "-q", str(tmp_path / "wt"), "-b", "other")
    repo.git("clone", "-q", "--shared", str(repo.path), str(tmp_path / "shared"))
    for path in ("wt", "shared", "wt/."):
        trees = Trees.of_clone(tmp_path / path)
        assert trees.read(trees.resolve("HEAD"), "a.yaml") == b"1"
        assert trees.resolve("HEAD") == revision


def test_outside_of_any_repository(tmp_path):
    with pytest.raises(GitError) as caught:
        Trees.of_clone(tmp_path)
    assert caught.value.reason is GitReason.REPOSITORY_NOT_FOUND


def test_an_unknown_revision(repo):
    tree = repo.git("rev-parse", f"{repo.commit({'a': '1'})}^{{tree}}")
    for revision in ("0" * 40, "nonsense", tree):
        with pytest.raises(GitError) as caught:
            repo.trees.files(revision)
        assert caught.value.reason is GitReason.REVISION_NOT_FOUND


def test_paths_that_are_not_utf8(repo):
    blob = repo.blob(b"x")
    revision = repo.tree_commit([b"100644 blob " + blob + b"\tbad\xff.yaml", b"100644 blob " + blob + b"\tgood.yaml"])
    trees = repo.trees
    assert set(trees.files(revision)) == {"bad\udcff.yaml", "good.yaml"}
    assert trees.read(revision, "bad\udcff.yaml") == b"x"
    assert "bad\udcff.yaml" in trees.changed_files(None, revision)
    with pytest.raises(GitError) as caught:
        trees.read(revision, "bad\udcff.yaml/x")
    assert caught.value.message.isprintable()


def test_a_few_trees_that_name_billions_of_files(repo):
    tree = repo.git("mktree", "-z", stdin=b"100644 blob " + repo.blob(b"x") + b"\tf.yaml\0")
    for _ in range(10):
        lines = b"".join(b"040000 tree %s\td%d\0" % (tree.encode(), i) for i in range(10))
        tree = repo.git("mktree", "-z", stdin=lines)
    bomb = repo.git("commit-tree", tree, "-m", "bomb")
    started = time.process_time()
    for call in (
        lambda: repo.trees.changed_paths(None, bomb),
        lambda: repo.trees.match(bomb, ["**/nothing"]),
        lambda: repo.trees.listing(bomb, ""),
    ):
        with pytest.raises(GitError) as caught:
            call()
        assert caught.value.reason is GitReason.TOO_MANY_FILES
    assert time.process_time() - started < 30


def test_previewing_a_merge_leaves_no_trace(repo):
    base = repo.commit({"a.yaml": "1\n2\n3\n4\n5\n", "keep.yaml": "k"})
    repo.git("checkout", "-q", "-b", "side")
    side = repo.commit({"a.yaml": "1\n2\n3\n4\nfive\n", "new.yaml": "n"})
    repo.git("checkout", "-q", "main")
    main = repo.commit({"a.yaml": "one\n2\n3\n4\n5\n"})
    before = repo.git("count-objects", "-v")
    trees = repo.trees
    preview = trees.merged_tree(main, side)
    assert preview.conflicts == ()
    assert preview.trees.read(preview.revision, "a.yaml") == b"one\n2\n3\n4\nfive\n"
    assert preview.trees.changed_paths(main, preview.revision) == ["a.yaml", "new.yaml"]
    assert preview.trees.first_parent_chain(base, preview.revision) == [main, preview.revision]
    assert repo.git("count-objects", "-v") == before
    assert not trees.has(preview.revision)


def test_previewing_a_merge_that_conflicts(repo):
    repo.commit({"a.yaml": "1\n", "b.yaml": "1\n"})
    repo.git("checkout", "-q", "-b", "side")
    side = repo.commit({"a.yaml": "2\n", "b.yaml": None})
    repo.git("checkout", "-q", "main")
    main = repo.commit({"a.yaml": "3\n", "b.yaml": "3\n"})
    preview = repo.trees.merged_tree(main, side)
    assert (preview.revision, preview.conflicts) == (None, ("a.yaml", "b.yaml"))


def test_previewing_what_is_merged_ahead_or_unrelated(repo):
    one = repo.commit({"a": "1"})
    two = repo.commit({"a": "2"})
    assert repo.trees.merged_tree(two, one).revision == two
    ahead = repo.trees.merged_tree(one, two)
    assert ahead.trees.read(ahead.revision, "a") == b"2"
    repo.git("checkout", "-q", "--orphan", "alone")
    alone = repo.commit({"a": "3"})
    with pytest.raises(GitError) as caught:
        repo.trees.merged_tree(two, alone)
    assert caught.value.reason is GitReason.UNRELATED_HISTORIES


def test_one_change_among_many_files_is_found_fast(repo):
    old = repo.commit({f"stacks/{i:05}.yaml": str(i) for i in range(3000)})
    new = repo.commit({"stacks/01234.yaml": "changed"})
    trees = repo.trees
    started = time.process_time()
    assert trees.changed_files(old, new) == {"stacks/01234.yaml": b"changed"}
    assert time.process_time() - started < 0.2
