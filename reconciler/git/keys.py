"""Which private keys are handed to libssh2, whose C code must never see anything else."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key


def unusable_key(text: str, passphrase: str = "") -> str | None:
    """Say in a few words why a private key cannot be used; None where it can. Never holds a part of the key."""
    load = load_ssh_private_key if "OPENSSH PRIVATE KEY" in text else load_pem_private_key
    try:
        key = load(text.encode(), passphrase.encode() or None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "the key given is not a private key that can be read with its passphrase"
    if isinstance(key, RSAPrivateKey):
        # The libssh2 inside pygit2's wheels corrupts the heap when it signs with one, which ends the whole service.
        return "the key given is an RSA key, which is not supported: use an Ed25519 or ECDSA key"
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
        return "the key given is neither an Ed25519 nor an ECDSA key"
    return None
