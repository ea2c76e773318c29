from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.credentials.known_hosts import known_hosts
from tests.needs import needs

WRITTEN = """
# a comment
git.example.com,10.0.0.1 ssh-ed25519 AAAA1 of the forge
[git.example.com]:2222 ssh-ed25519 AAAA2
other.example.com ssh-ed25519 AAAA3
*.example.org,!bad.example.org ecdsa-sha2-nistp256 AAAA4
@cert-authority *.example.net ssh-ed25519 AAAA5
|1|broken|line ssh-ed25519 AAAA6
too short
"""


@pytest.mark.parametrize(
    ("url", "lines"),
    [
        pytest.param("git@git.example.com:a/b.git", "git.example.com ssh-ed25519 AAAA1\n", id="user@host:path"),
        pytest.param("ssh://git@GIT.example.com/a", "git.example.com ssh-ed25519 AAAA1\n", id="ssh://"),
        pytest.param("ssh://git.example.com:2222/a", "[git.example.com]:2222 ssh-ed25519 AAAA2\n", id="a port"),
        pytest.param("ssh://g.example.org/a", "g.example.org ecdsa-sha2-nistp256 AAAA4\n", id="a pattern"),
        pytest.param("ssh://bad.example.org/a", "", id="not of the pattern"),
        pytest.param("ssh://g.example.net/a", "@cert-authority g.example.net ssh-ed25519 AAAA5\n", id="an authority"),
        pytest.param("ssh://nobody.example/a", "", id="unknown"),
    ],
)
def test_the_lines_about_one_host_name_no_other(tmp_path: Path, url: str, lines: str) -> None:
    (tmp_path / "known_hosts").write_text(WRITTEN)
    assert known_hosts(url, tmp_path / "known_hosts") == lines


def test_without_a_file_nobody_is_known(tmp_path: Path) -> None:
    assert known_hosts("ssh://git.example.com/a", tmp_path / "none") == ""


@needs("ssh-keygen")
def test_hashed_names_are_found(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    key = " ".join((tmp_path / "key.pub").read_text().split()[:2])
    file = tmp_path / "known_hosts"
    file.write_text(f"[git.example.com]:2222 {key}\nother.example.com {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    assert "example" not in file.read_text()
    assert known_hosts("ssh://git.example.com:2222/a", file) == f"[git.example.com]:2222 {key}\n"
    assert known_hosts("ssh://git.example.com/a", file) == ""
