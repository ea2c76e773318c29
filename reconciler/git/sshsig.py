"""SSH signatures of commits, in the format of `ssh-keygen -Y sign`, verified in this process.

The format is described in OpenSSH's PROTOCOL.sshsig.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from rbac.identity import KeyRing, NoSigner, Signer, Unverified, Verdict
from spaces.model.signing_keys import KeyKind, SigningKey, read_strings, ssh_fingerprint

BEGIN = b"-----BEGIN SSH SIGNATURE-----"
_END = b"-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_NAMESPACE = b"git"
_LARGEST = 64 * 1024
_TOUCHED = 0x01

_DIGESTS = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_RSA_HASHES: dict[bytes, hashes.HashAlgorithm] = {b"rsa-sha2-256": hashes.SHA256(), b"rsa-sha2-512": hashes.SHA512()}
_CURVES: dict[bytes, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    b"nistp256": (ec.SECP256R1(), hashes.SHA256()),
    b"nistp384": (ec.SECP384R1(), hashes.SHA384()),
    b"nistp521": (ec.SECP521R1(), hashes.SHA512()),
}


class Unsupported(Exception):
    """A signature of a format or algorithm that is not accepted; the message says which."""


@dataclass(frozen=True, slots=True)
class _Envelope:
    """The parts of a signature file."""

    key: bytes
    reserved: bytes
    hash_name: bytes
    signature: bytes

    def signed(self, payload: bytes) -> bytes:
        """Return the bytes that the key signed: the hash of the payload, with the purpose of the signature."""
        digest = _DIGESTS[self.hash_name](payload).digest()
        parts = (_NAMESPACE, self.reserved, self.hash_name, digest)
        return _MAGIC + b"".join(len(part).to_bytes(4) + part for part in parts)


def verify_ssh(armored: bytes, payload: bytes, ring: KeyRing) -> Verdict:
    """Return the key of the ring that signed the payload, or why there is none."""
    try:
        envelope = _open(armored)
        fingerprint = ssh_fingerprint(envelope.key)
        key = ring.keys.get(fingerprint)
        if key is None or key.kind is not KeyKind.SSH or key.data != envelope.key:
            return Unverified(NoSigner.UNKNOWN_KEY, f"it is signed by the key {fingerprint}, which belongs to no user")
        _check(key, envelope.signature, envelope.signed(payload))
    except Unsupported as wrong:
        return Unverified(NoSigner.UNSUPPORTED, str(wrong))
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return Unverified(NoSigner.BAD_SIGNATURE, "its SSH signature is damaged or was made for something else")
    return Signer(fingerprint)


def _open(armored: bytes) -> _Envelope:
    lines = armored.strip().split(b"\n")
    if len(armored) > _LARGEST or lines[0].strip() != BEGIN or lines[-1].strip() != _END:
        raise Unsupported("its SSH signature is not in the form that ssh-keygen writes")
    try:
        data = base64.b64decode(b"".join(line.strip() for line in lines[1:-1]), validate=True)
    except binascii.Error:
        raise ValueError("base64") from None
    head = len(_MAGIC) + 4
    if data[:head] != _MAGIC + (1).to_bytes(4):
        raise Unsupported("its SSH signature has an unknown version")
    parts = read_strings(data[head:])
    if len(parts) != 5:
        raise ValueError("parts")
    key, namespace, reserved, hash_name, signature = parts
    if namespace != _NAMESPACE:
        raise ValueError("namespace")  # the signature of an e-mail or a file must not count for a commit
    if hash_name not in _DIGESTS:
        raise Unsupported("its SSH signature uses a hash that the service does not accept")
    return _Envelope(key, reserved, hash_name, signature)


def _check(key: SigningKey, signature: bytes, signed: bytes) -> None:
    """Raise InvalidSignature or ValueError unless the key made the signature; Unsupported for other algorithms."""
    parts = read_strings(key.data)
    if key.algorithm.startswith("sk-"):
        _check_security_key(key.algorithm, parts, signature, signed)
        return
    algorithm, raw = _pair(signature)
    match key.algorithm:
        case "ssh-ed25519":
            _check_same(algorithm, b"ssh-ed25519")
            Ed25519PublicKey.from_public_bytes(parts[1]).verify(raw, signed)
        case "ssh-rsa":
            if algorithm not in _RSA_HASHES:
                raise Unsupported("its SSH signature uses RSA with a hash that the service does not accept")
            numbers = rsa.RSAPublicNumbers(int.from_bytes(parts[1]), int.from_bytes(parts[2]))
            numbers.public_key().verify(raw, signed, padding.PKCS1v15(), _RSA_HASHES[algorithm])
        case _:
            _check_same(algorithm, key.algorithm.encode())
            _check_ecdsa(parts[1], parts[2], raw, signed)


def _check_security_key(algorithm: str, parts: list[bytes], signature: bytes, signed: bytes) -> None:
    """Check a signature made in hardware. It covers the application, and that somebody touched the key."""
    tail = 5  # one byte of flags, four of a counter
    name, raw = _pair(signature[:-tail])
    _check_same(name, algorithm.encode())
    flags = signature[-tail:]
    if not flags[0] & _TOUCHED:
        raise Unsupported("its SSH signature was made without a touch of the security key")
    covered = hashlib.sha256(parts[-1]).digest() + flags + hashlib.sha256(signed).digest()
    if algorithm == "sk-ssh-ed25519@openssh.com":
        Ed25519PublicKey.from_public_bytes(parts[1]).verify(raw, covered)
    else:
        _check_ecdsa(parts[1], parts[2], raw, covered)


def _check_ecdsa(curve_name: bytes, point: bytes, raw: bytes, signed: bytes) -> None:
    if curve_name not in _CURVES:
        raise Unsupported("its SSH signature uses a curve that the service does not accept")
    curve, algorithm = _CURVES[curve_name]
    r, s = (int.from_bytes(part, signed=True) for part in _two(read_strings(raw)))
    public = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(algorithm))


def _pair(signature: bytes) -> tuple[bytes, bytes]:
    return _two(read_strings(signature))


def _two(parts: list[bytes]) -> tuple[bytes, bytes]:
    if len(parts) != 2:
        raise ValueError("parts")
    return parts[0], parts[1]


def _check_same(actual: bytes, wanted: bytes) -> None:
    if actual != wanted:
        raise ValueError("the signature's algorithm is not the key's")
