"""Commits that are signed without any other program: our own check and git itself take them."""

import stat
import subprocess
from datetime import UTC, datetime

import pytest

from rbac.identity import KeyRing, Signer
from reconciler.git.authoring import Pen, commit_all
from reconciler.git.signatures import Signatures
from reconciler.git.trees import Trees
from spaces.model.signing_keys import parse_signing_key
from tests.needs import needs


@pytest.fixture
def signed(tmp_path):
    pen = Pen.make("ada", tmp_path / "ada")
    directory = tmp_path / "repository"
    directory.mkdir()
    (directory / "a.yaml").write_text("one")
    commit_all(directory, "First", pen)
    (directory / "a.yaml").write_text("two")
    return pen, directory, commit_all(directory, "Second", pen)


def test_the_signature_is_good(signed, tmp_path):
    pen, directory, revision = signed
    key = parse_signing_key(pen.public)
    with Signatures(tmp_path / "rings") as signatures:
        trees = Trees.of_clone(directory)
        for commit in (revision, trees.commit(revision).parents[0]):
            assert signatures.verify(trees.commit(commit), KeyRing.of([key]), datetime.now(UTC)) == Signer(
                key.fingerprint
            )
    assert trees.commit(revision).author_name == "ada"


def test_the_private_key_is_its_owners(signed, tmp_path):
    pen, _, _ = signed
    assert stat.S_IMODE((tmp_path / "ada").stat().st_mode) == 0o600
    assert (tmp_path / "ada.pub").read_text() == f"{pen.public}\n"
    assert "PRIVATE" not in repr(pen)


@needs("git", "ssh-keygen")
def test_git_itself_takes_it(signed, tmp_path):
    pen, directory, revision = signed
    (tmp_path / "allowed").write_text(f"ada {pen.public}\n")
    allowed = f"gpg.ssh.allowedSignersFile={tmp_path / 'allowed'}"
    subprocess.run(["git", "-c", allowed, "verify-commit", revision], cwd=directory, check=True, capture_output=True)
