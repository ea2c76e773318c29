"""An SSH key that signs commits which the command line itself makes: those of the demo's people."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_LINE = 70
_MAGIC = b"SSHSIG"
_NAMESPACE = b"git"
_KIND = b"ssh-ed25519"


@dataclass(frozen=True, slots=True)
class Pen:
    """Somebody's name and private key."""

    name: str
    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def make(cls, name: str, path: Path) -> Pen:
        """Make a key and write its private half to `path`, for its owner alone, and the public one beside it."""
        key = Ed25519PrivateKey.generate()
        pen = cls(name, key)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        path.with_name(path.name + ".pub").write_text(f"{pen.public}\n", encoding="ascii")
        return pen

    @property
    def public(self) -> str:
        """The public key, as a User document takes it."""
        line = self._key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return f"{line.decode()} {self.name}"

    def sign(self, content: bytes) -> str:
        """Give the armored signature of a commit's content."""
        digest = hashlib.sha512(content).digest()
        signed = _MAGIC + _strings(_NAMESPACE, b"", b"sha512", digest)
        public = base64.b64decode(self.public.split()[1])
        signature = _strings(_KIND, self._key.sign(signed))
        blob = _MAGIC + (1).to_bytes(4) + _strings(public, _NAMESPACE, b"", b"sha512", signature)
        text = base64.b64encode(blob).decode()
        lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
        return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----"])


def _strings(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4) + part for part in parts)
