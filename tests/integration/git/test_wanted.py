"""Tags, ranges of versions and single commits, fetched from real repositories."""

import pytest

from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirror import Mirror
from reconciler.git.remote import Credentials
from reconciler.git.wanted import Release
from tests.integration.git.http_server import GitServer


@pytest.fixture
def server(tmp_path):
    server = GitServer(tmp_path, user_and_password="bob:hunter2")
    yield server
    server.stop()


@pytest.fixture(params=["file", "http"])
def mirror(request, repo, tmp_path, server):
    """A mirror of the repository, over each transport."""
    url = repo.url if request.param == "file" else f"{server.url}/repo/.git"
    mirror = Mirror.open(tmp_path / "mirrors/m.git", url)
    credentials = None if request.param == "file" else Credentials("bob", "hunter2")
    mirror.get = lambda *wanted: mirror.fetch_all(wanted, credentials)
    return mirror


def released(repo):
    """Make two versions, the second one on a branch of its own with an annotated tag."""
    one = repo.commit({"a": "1"})
    repo.git("tag", "v1.4.0")
    repo.git("checkout", "-q", "-b", "side")
    two = repo.commit({"a": "2"})
    repo.git("tag", "-a", "-m", "second", "v1.5")
    repo.git("checkout", "-q", "main")
    return one, two, repo.commit({"a": "3"})


def test_what_can_be_followed(repo, mirror):
    one, two, main = released(repo)
    wanted = ("main", "tag:v1.4.0", "tag:v1.5", "semver:>=1.4 <2", "semver:^1.4.0 <1.5", f"revision:{two}")
    found = mirror.get(*wanted)
    assert [found[each] for each in wanted] == [main, one, two, Release("v1.5", two), Release("v1.4.0", one), two]
    assert mirror.trees.read(two, "a") == b"2"
    refs = {name.removeprefix("refs/station/tip/") for name in _refs(mirror)}
    assert refs == {"main", "tag%3Av1.4.0", "tag%3Av1.5", f"revision%3A{two}"}, "nothing else stays"


def _refs(mirror):
    import pygit2

    return list(pygit2.Repository(str(mirror.directory)).references)


def test_what_is_not_there_is_told_and_stops_nothing_else(repo, mirror):
    _, _, main = released(repo)
    tree = repo.git("rev-parse", "HEAD^{tree}")
    repo.git("tag", "v1.9.0", tree)
    found = mirror.get("main", "tag:v9", "semver:^9", "semver:^1.9", f"revision:{'0' * 40}", "branch-9")
    assert found.pop("main") == main
    assert {ref: error.reason for ref, error in found.items()} == {
        "tag:v9": GitReason.TAG_NOT_FOUND,
        "semver:^9": GitReason.VERSION_NOT_FOUND,
        "semver:^1.9": GitReason.TAG_NOT_FOUND,
        f"revision:{'0' * 40}": GitReason.REVISION_NOT_FOUND,
        "branch-9": GitReason.BRANCH_NOT_FOUND,
    }
    assert found["semver:^9"].message == "no tag is a version in the range '^9': its newest version is v1.9.0"
    assert "tag of no commit" in found["semver:^1.9"].message


def test_a_commit_on_no_branch_is_not_taken(repo, mirror):
    released(repo)
    lost = repo.commit({"a": "lost"})
    repo.git("update-ref", "refs/pull/1/head", lost)
    repo.git("reset", "-q", "--hard", "HEAD~1")
    assert mirror.get(f"revision:{lost}")[f"revision:{lost}"].reason is GitReason.REVISION_NOT_FOUND
    repo.git("tag", "found", lost)
    assert mirror.get(f"revision:{lost}")[f"revision:{lost}"] == lost


def test_a_commit_that_is_there_is_not_asked_for_again(repo, server, tmp_path):
    one, *_ = released(repo)
    mirror = Mirror.open(tmp_path / "m.git", f"{server.url}/repo/.git")
    right = Credentials("bob", "hunter2")
    assert mirror.fetch(f"revision:{one}", right) == one
    asked = server.requests
    assert mirror.fetch(f"revision:{one}", right) == one
    assert server.requests == asked


def test_tags_and_commits_survive_the_loss_of_the_mirror(repo, mirror):
    one, two, _ = released(repo)
    wanted = ("tag:v1.5", f"revision:{one}", "semver:^1")
    before = mirror.get(*wanted)
    for pack in mirror.directory.glob("objects/pack/*"):
        pack.unlink()
    assert mirror.get(*wanted) == before
    assert mirror.trees.read(two, "a") == b"2"


@pytest.mark.parametrize("ref", ["tag:--upload-pack=x", "tag:a:b", "tag:refs/tags/v1", "semver:latest", "revision:abc"])
def test_names_cannot_be_more_than_that(repo, tmp_path, ref):
    with pytest.raises(ValueError):
        Mirror.open(tmp_path / "m.git", repo.url).fetch(ref)


def test_a_range_is_refused_before_anything_is_sent_with_wrong_credentials(repo, server, tmp_path):
    released(repo)
    mirror = Mirror.open(tmp_path / "m.git", f"{server.url}/repo/.git")
    with pytest.raises(GitError) as caught:
        mirror.fetch("semver:^1", Credentials("bob", "s3cret"))
    assert caught.value.reason is GitReason.AUTHENTICATION_FAILED
    assert "s3cret" not in caught.value.message
