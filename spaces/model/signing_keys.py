"""Public keys that sign commits: parsed from text and identified by their fingerprints."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

MAX_KEY_CHARACTERS = 256 * 1024
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 16384

_SSH_PARTS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""For each type of SSH key, how many strings follow the type in the key's bytes."""

_ARMOR_BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_ARMOR_END = "-----END PGP PUBLIC KEY BLOCK-----"
_ARMOR_HEADER = re.compile(r"[A-Za-z]+: .*")
_PUBLIC_KEY_TAG = 6
_SHORTEST_KEY = 1 + 4 + 1 + 16
_SECRET_TAGS = frozenset({5, 7})


class KeyKind(StrEnum):
    """The kinds of signatures that a key can make."""

    SSH = "ssh"
    OPENPGP = "openpgp"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key. `fingerprint` is `SHA256:…` as ssh-keygen prints it, or 40 upper-case hexadecimal digits.

    `algorithm` is the SSH key's type and empty for OpenPGP. `data` is the key's own bytes.
    """

    kind: KeyKind
    fingerprint: str
    algorithm: str
    data: bytes


def parse_signing_key(text: str) -> SigningKey:
    """Parse an SSH public key line or an armored OpenPGP public key.

    Raise ValueError with the reason for any other text; the message never contains the text.
    """
    if len(text) > MAX_KEY_CHARACTERS:
        raise ValueError("is longer than any key")
    if "PRIVATE KEY" in text:
        raise ValueError("is a private key: whoever has read this file can sign with it, so make a new one")
    stripped = text.strip()
    if stripped.startswith("-----BEGIN"):
        return _openpgp(stripped)
    return _ssh(stripped)


def ssh_fingerprint(blob: bytes) -> str:
    """Return the fingerprint of an SSH key's bytes, as ssh-keygen prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def read_strings(data: bytes) -> list[bytes]:
    """Split bytes into SSH's length-prefixed strings; raise ValueError if the last string is cut off."""
    strings: list[bytes] = []
    start = 0
    while start < len(data):
        length = int.from_bytes(data[start : start + 4])
        end = start + 4 + length
        if start + 4 > len(data) or end > len(data):
            raise ValueError("is cut off")
        strings.append(data[start + 4 : end])
        start = end
    return strings


def _ssh(line: str) -> SigningKey:
    if not line.isprintable():
        raise ValueError("must be one line: the content of a .pub file")
    words = line.split(" ", 2)
    algorithm = words[0]
    if algorithm not in _SSH_PARTS:
        raise ValueError(_unknown_ssh(line))
    try:
        blob = base64.b64decode(words[1] if len(words) > 1 else "", validate=True)
        parts = read_strings(blob)
    except (binascii.Error, ValueError):
        raise ValueError("is not an SSH public key: its base64 part is damaged") from None
    if len(parts) != _SSH_PARTS[algorithm] + 1 or parts[0] != algorithm.encode():
        raise ValueError("is not an SSH public key: its base64 part does not fit its type")
    if algorithm == "ssh-rsa" and not MIN_RSA_BITS <= int.from_bytes(parts[2]).bit_length() <= MAX_RSA_BITS:
        raise ValueError(f"is an RSA key of a size that is not accepted ({MIN_RSA_BITS} to {MAX_RSA_BITS} bits)")
    return SigningKey(KeyKind.SSH, ssh_fingerprint(blob), algorithm, blob)


def _unknown_ssh(line: str) -> str:
    words = line.split()
    if any("-cert-v01@" in word for word in words[:2]):
        return "is a certificate; list the plain public key"
    if words and words[0] == "ssh-dss":
        return "is a DSA key, which is too weak"
    if any(word in _SSH_PARTS for word in words[1:]):
        return "has something before the key's type; options and principals are not supported"
    return "is neither an SSH public key line nor an armored OpenPGP public key"


def _openpgp(armored: str) -> SigningKey:
    data = _dearmor(armored)
    packets = list(_packets(data))
    tags = [tag for tag, _ in packets]
    if _SECRET_TAGS.intersection(tags):
        raise ValueError("is a private key: whoever has read this file can sign with it, so make a new one")
    if not tags or tags[0] != _PUBLIC_KEY_TAG or tags.count(_PUBLIC_KEY_TAG) != 1:
        raise ValueError("must hold exactly one OpenPGP public key")
    body = packets[0][1]
    if body[:1] != b"\x04" or len(body) < _SHORTEST_KEY:
        raise ValueError("is an OpenPGP key of a version that is not supported (version 4 is)")
    # A version 4 fingerprint is this hash by definition; what it protects is checked by the signatures themselves.
    digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2) + body, usedforsecurity=False)
    return SigningKey(KeyKind.OPENPGP, digest.hexdigest().upper(), "", data)


def _dearmor(armored: str) -> bytes:
    lines = [line.strip() for line in armored.splitlines()]
    if lines[0] != _ARMOR_BEGIN or lines[-1] != _ARMOR_END or armored.count("-----BEGIN") != 1:
        raise ValueError("must be one armored OpenPGP public key and nothing else")
    content = lines[1:-1]
    while content and _ARMOR_HEADER.fullmatch(content[0]):
        content.pop(0)
    encoded = "".join(line for line in content if not line.startswith("="))
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("is not an OpenPGP public key: its base64 part is damaged") from None


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        tag, start, length = _packet_header(data, at)
        if start + length > len(data):
            raise ValueError("is not an OpenPGP public key: it is cut off")
        yield tag, data[start : start + length]
        at = start + length


def _packet_header(data: bytes, at: int) -> tuple[int, int, int]:
    """Return a packet's tag, the offset of its body and the body's length in bytes."""
    first = data[at]
    if not first & 0x80:
        raise ValueError("is not an OpenPGP public key")
    if not first & 0x40:
        size = (1, 2, 4, 0)[first & 3]
        if size == 0:
            raise ValueError("is not an OpenPGP public key: it has a packet without a length")
        return (first >> 2) & 0x0F, at + 1 + size, int.from_bytes(data[at + 1 : at + 1 + size])
    second = data[at + 1] if at + 1 < len(data) else 0xFE
    if second < 192:
        return first & 0x3F, at + 2, second
    if second < 224:
        return first & 0x3F, at + 3, ((second - 192) << 8) + int.from_bytes(data[at + 2 : at + 3]) + 192
    if second == 255:
        return first & 0x3F, at + 6, int.from_bytes(data[at + 2 : at + 6])
    raise ValueError("is not an OpenPGP public key: it has a packet in parts")
