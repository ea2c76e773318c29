import threading

import pytest

from reconciler.git import libgit2
from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirror import Mirror
from reconciler.git.mirrors import Mirrors, Remote
from reconciler.git.remote import Credentials
from tests.integration.git.http_server import GitServer

RIGHT = Credentials("bob", "hunter2")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(**options):
        servers.append(GitServer(tmp_path, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def failure(mirror, credentials=None, **options):
    with pytest.raises(GitError) as caught:
        mirror.fetch("main", credentials, **options)
    assert "hunter2" not in caught.value.message
    assert "hunter2" not in repr(caught.value)
    assert caught.value.message.isprintable()
    return caught.value


def test_fetching_with_the_right_credentials(repo, serve, tmp_path):
    server = serve(user_and_password="bob:hunter2")
    mirror = Mirror.open(tmp_path / "m.git", f"{server.url}/repo/.git")
    one = repo.commit({"a.yaml": "1"})
    assert mirror.fetch("main", RIGHT) == one
    two = repo.commit({"a.yaml": "2"})
    assert mirror.fetch("main", RIGHT) == two
    assert mirror.trees.read(two, "a.yaml") == b"2"
    for path in mirror.directory.parent.rglob("*"):
        assert not (path.is_file() and b"hunter2" in path.read_bytes()), "no credential on disk"


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        (None, "but there are none"),
        (Credentials("bob", "wrong"), "does not accept"),
        (Credentials("eve", "hunter2"), "does not accept"),
        (Credentials(ssh_key="hunter2"), "hold an SSH key"),
    ],
    ids=["none", "wrong password", "wrong user", "of another kind"],
)
def test_credentials_that_do_not_fit(repo, serve, tmp_path, credentials, words):
    repo.commit({"a.yaml": "1"})
    server = serve(user_and_password="bob:hunter2")
    error = failure(Mirror.open(tmp_path / "m.git", f"{server.url}/repo/.git"), credentials)
    assert error.reason is GitReason.AUTHENTICATION_FAILED
    assert words in error.message


def test_the_user_name_may_be_part_of_the_url(repo, serve, tmp_path):
    revision = repo.commit({"a.yaml": "1"})
    server = serve(user_and_password="bob:hunter2")
    url = server.url.replace("http://", "http://bob@") + "/repo/.git"
    assert Mirror.open(tmp_path / "m.git", url).fetch("main", Credentials(password="hunter2")) == revision


def test_one_spaces_credentials_open_nothing_for_another(repo, serve, tmp_path):
    revision = repo.commit({"a.yaml": "1"})
    url = f"{serve(user_and_password='bob:hunter2').url}/repo/.git"
    mine, theirs = Remote(url, "main", RIGHT), Remote(url, "main", Credentials("eve", "x"))
    results = Mirrors(tmp_path / "mirrors").fetch_all([mine, theirs])
    assert results[mine] == revision
    assert results[theirs].reason is GitReason.AUTHENTICATION_FAILED
    assert "hunter2" not in repr(results)


def test_credentials_are_not_sent_to_another_host(repo, serve, tmp_path):
    repo.commit({"a.yaml": "1"})
    thief = serve(user_and_password="bob:hunter2")
    server = serve(redirect_to=thief.url)
    failure(Mirror.open(tmp_path / "m.git", f"{server.url}/repo/.git"), RIGHT)
    assert not any(thief.authorizations)


def test_a_server_that_is_down(serve, tmp_path):
    server = serve()
    url = f"{server.url}/repo/.git"
    server.server_close()
    assert failure(Mirror.open(tmp_path / "m.git", url)).reason is GitReason.FETCH_FAILED


def test_a_repository_that_the_server_does_not_have(serve, tmp_path):
    assert failure(Mirror.open(tmp_path / "m.git", f"{serve().url}/nope.git")).reason is GitReason.FETCH_FAILED


def test_a_branch_that_the_server_does_not_have(repo, serve, tmp_path):
    mirror = Mirror.open(tmp_path / "m.git", f"{serve().url}/repo/.git")
    assert failure(mirror).reason is GitReason.REPOSITORY_EMPTY
    repo.commit({"a": "1"})
    repo.git("branch", "-m", "trunk")
    assert failure(mirror).reason is GitReason.BRANCH_NOT_FOUND


def test_a_server_that_stalls_is_given_up(repo, serve, tmp_path):
    repo.commit({str(i): "x" * 1000 for i in range(50)})
    stall = threading.Event()
    server = serve(stall=stall)
    libgit2.set_timeouts(connect=1, server=0.3)
    try:
        error = failure(Mirror.open(tmp_path / "m.git", f"{server.url}/repo/.git"))
    finally:
        libgit2.set_timeouts()
        stall.set()
    assert error.reason is GitReason.FETCH_FAILED


def test_one_request_round_for_several_branches(repo, serve, tmp_path):
    repo.commit({"a": "1"})
    repo.git("branch", "dev")
    server = serve()
    url = f"{server.url}/repo/.git"
    mirrors = Mirrors(tmp_path / "mirrors")
    mirrors.fetch_all([Remote(url, "main"), Remote(url, "dev")])
    first = server.requests
    mirrors.fetch_all([Remote(url, "main"), Remote(url, "dev")])
    assert server.requests - first == 1, "nothing new takes one request"
