import pytest

from reconciler.git.remote import Credentials, check_branch, check_url, host_of, redact, user_of

GOOD_URLS = [
    "https://git.example.com/platform/infra.git",
    "https://org@git.example.com/org/project",
    "http://127.0.0.1:8080/repo.git",
    "http://[::1]:8080/repo.git",
    "HTTPS://git.example.com/x",
    "ssh://git@git.example.com:2222/infra.git",
    "git@git.example.com:platform/infra.git",
    "git.example.com:infra.git",
    "file:///srv/git/infra.git",
    "file://localhost/srv/git/infra.git",
]

BAD_URLS = [
    ("", "is empty"),
    ("--upload-pack=touch /tmp/x", "starts with '-'"),
    ("-oProxyCommand=x", "starts with '-'"),
    ("ext::sh -c touch% /tmp/x", "remote helper"),
    ("ext::sh://x", "scheme 'ext' is not one of"),
    ("fd::17", "remote helper"),
    ("git://git.example.com/x", "scheme 'git' is not one of"),
    ("ftp://git.example.com/x", "scheme 'ftp' is not one of"),
    ("/srv/git/infra.git", "write it as file:///path"),
    ("../infra", "write it as file:///path"),
    ("infra", "neither scheme://"),
    ("file://server/share", "needs an absolute path"),
    ("file:///", "needs an absolute path"),
    ("https://user:hunter2@git.example.com/x", "contains a password"),
    ("ssh://user:hunter2@git.example.com/x", "contains a password"),
    ("https://git.example.com/x?private_token=hunter2", "query or fragment"),
    ("https://git.example.com/x#hunter2", "query or fragment"),
    ("https://git.example.com", "names no repository"),
    ("https:///x", "no valid host"),
    ("ssh://-oProxyCommand=x/y", "no valid host"),
    ("ssh://git@host/-x", "starts with '-'"),
    ("ssh://-l@host/x", "starts with '-'"),
    ("host:-x", "neither scheme://"),
    ("-host:x", "starts with '-'"),
    ("https://git.example.com:port/x", "host or port"),
    ("https://git.example.com/x\nInjected: y", "control character"),
    ("https://git.example.com/\x00", "control character"),
    ("https://git.example.com/" + "x" * 3000, "longer than"),
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_urls_that_may_be_fetched(url):
    check_url(url)


@pytest.mark.parametrize(("url", "why"), BAD_URLS, ids=[url[:30] or "empty" for url, _ in BAD_URLS])
def test_urls_that_are_refused(url, why):
    with pytest.raises(ValueError) as caught:
        check_url(url)
    assert why in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_urls_can_be_ruled_out():
    with pytest.raises(ValueError, match="not allowed here"):
        check_url("file:///srv/git/infra.git", local=False)


@pytest.mark.parametrize("branch", ["main", "feature/x", "release-1.2", "über", "a@b", "100%"])
def test_branches_that_are_allowed(branch):
    check_branch(branch)


@pytest.mark.parametrize(
    "branch",
    [
        "", "-f", "--upload-pack=x", "refs/heads/main", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b",
        "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "@", "HEAD", "a@{1}", "a\nb", "a\x7f", "x" * 300,
    ],
)  # fmt: skip
def test_branches_that_are_refused(branch):
    with pytest.raises(ValueError) as caught:
        check_branch(branch)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:hunter2@host/x.git", "https://host/x.git"),
        ("https://hunter2@host/x.git", "https://host/x.git"),
        ("https://us@er:hunter2@host/x", "https://host/x"),
        ("https://host/x?token=hunter2", "https://host/x"),
        ("https://host:8443/x@y?token=hunter2", "https://host:8443/x@y"),
        ("postgresql://user:a/hunter2@host/x", "postgresql://host/x"),
        ("postgresql://user:a?hunter2#@host/x", "postgresql://host/x"),
        ("https://host/x#hunter2", "https://host/x"),
        ("git@host:x.git", "git@host:x.git"),
        ("file:///srv/x", "file:///srv/x"),
        ("https://host/x\nhunter", "https://host/x?hunter"),
    ],
)
def test_redacted_urls(url, shown):
    redacted = redact(url)
    assert redacted.split("?")[0] == shown.split("?")[0]
    assert "hunter2" not in redacted


@pytest.mark.parametrize(
    ("url", "host", "user"),
    [
        ("https://org@Host.example:8443/x", "host.example:8443", "org"),
        ("git@host:x", "host", "git"),
        ("host:x", "host", ""),
        ("file:///x", "", ""),
    ],
)
def test_host_and_user(url, host, user):
    assert (host_of(url), user_of(url)) == (host, user)


def test_credentials_never_show_their_secret():
    for credentials in (Credentials("bob", "hunter2"), Credentials(ssh_key="hunter2")):
        assert "hunter2" not in f"{credentials!r} {credentials!s} {[credentials]}"


@pytest.mark.parametrize("fields", [{}, {"username": "bob"}, {"password": "a", "ssh_key": "b"}])
def test_credentials_are_one_kind(fields):
    with pytest.raises(ValueError, match="either"):
        Credentials(**fields)
