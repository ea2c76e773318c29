"""Signed commits that this program makes itself: for people who order something, and for those of the demo."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import pygit2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pygit2.enums import FileMode, RepositoryOpenFlag

from reconciler.git.libgit2 import prepare
from spaces.names import Revision

_BRANCH = "refs/heads/main"
_LINE = 70
_MAGIC = b"SSHSIG"
_NAMESPACE = b"git"
_KIND = b"ssh-ed25519"


@dataclass(frozen=True, slots=True)
class Pen:
    """A person's name and private key."""

    name: str
    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def make(cls, name: str, path: Path) -> Pen:
        """Generate a key.

        Write the private half to `path`, readable by the owner alone, and the public half beside it.
        """
        key = Ed25519PrivateKey.generate()
        pen = cls(name, key)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        path.with_name(path.name + ".pub").write_text(f"{pen.public}\n", encoding="ascii")
        return pen

    @classmethod
    def of_seed(cls, name: str, seed: bytes) -> Pen:
        """Return the pen whose key is made of 32 secret bytes."""
        return cls(name, Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> str:
        """The public key in the form that a User document takes."""
        line = self._key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return f"{line.decode()} {self.name}"

    def sign(self, content: bytes) -> str:
        """Return the armored signature of a commit's content."""
        digest = hashlib.sha512(content).digest()
        signed = _MAGIC + _strings(_NAMESPACE, b"", b"sha512", digest)
        public = base64.b64decode(self.public.split()[1])
        signature = _strings(_KIND, self._key.sign(signed))
        blob = _MAGIC + (1).to_bytes(4) + _strings(public, _NAMESPACE, b"", b"sha512", signature)
        text = base64.b64encode(blob).decode()
        lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
        return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----"])


def _strings(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def commit_all(directory: Path, message: str, pen: Pen | None = None) -> Revision:
    """Commit everything in the directory to main, in a repository that is created if there is none.

    With a pen, the commit is made and signed in the name of its owner. This machine's Git settings do not count, so the
    caller supplies the author's name.
    """
    prepare()
    if (directory / ".git").exists():
        repository = pygit2.Repository(str(directory), RepositoryOpenFlag.NO_SEARCH)
    else:
        repository = pygit2.init_repository(str(directory), initial_head="main")
    repository.index.clear()
    tops = [top for top in directory.iterdir() if top.name != ".git"]
    for path in sorted(path for top in tops for path in (top, *top.rglob("*"))):
        relative = path.relative_to(directory)
        if path.is_file():
            mode = FileMode.BLOB_EXECUTABLE if path.stat().st_mode & 0o100 else FileMode.BLOB
            blob = repository.create_blob_fromdisk(str(path))
            repository.index.add(pygit2.IndexEntry(relative.as_posix(), blob, mode))
    repository.index.write()
    author = pygit2.Signature(pen.name if pen else "Stationkeeper", f"{pen.name if pen else 'station'}@localhost")
    tree = repository.index.write_tree()
    tip = repository.references.get(_BRANCH)
    parents = [tip.target] if tip is not None else []
    if pen is None:
        return Revision(str(repository.create_commit(_BRANCH, author, author, message + "\n", tree, parents)))
    content = str(repository.create_commit_string(author, author, message + "\n", tree, parents))
    made = repository.create_commit_with_signature(content, pen.sign(content.encode()), "gpgsig")
    repository.references.create(_BRANCH, made, force=True)
    return Revision(str(made))
