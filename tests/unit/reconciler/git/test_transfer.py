import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from reconciler.git.transfer import unusable_key

RSA = rsa.generate_private_key(65537, 2048)


def text(key, form=PrivateFormat.OpenSSH, secret=None):
    encryption = BestAvailableEncryption(secret) if secret else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, encryption).decode()


@pytest.mark.parametrize(
    ("key", "passphrase"),
    [
        (text(ed25519.Ed25519PrivateKey.generate()), ""),
        (text(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8), ""),
        (text(ec.generate_private_key(ec.SECP256R1())), ""),
        (text(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8, b"hunter2"), "hunter2"),
    ],
    ids=["ed25519", "ed25519 in PEM", "ecdsa", "with a passphrase"],
)
def test_keys_that_can_be_used(key, passphrase):
    assert unusable_key(key, passphrase) is None


@pytest.mark.parametrize(
    ("key", "passphrase", "words"),
    [
        (text(RSA), "", "RSA"),
        (text(RSA, PrivateFormat.TraditionalOpenSSL), "", "RSA"),
        (text(dsa.generate_private_key(1024), PrivateFormat.PKCS8), "", "neither"),
        ("garbage", "", "not a private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "", "not a private key"),
        (text(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8, b"hunter2"), "", "not a private key"),
        (text(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8, b"hunter2"), "wrong", "not a private key"),
        (text(ed25519.Ed25519PrivateKey.generate()), "needless", "not a private key"),
    ],
    ids=["rsa", "rsa in PEM", "dsa", "garbage", "garbage within", "no passphrase", "wrong passphrase", "needless"],
)
def test_keys_that_are_refused(key, passphrase, words):
    assert words in unusable_key(key, passphrase)
