"""OpenPGP signatures of commits, checked by gpg with a key ring of its own and nothing else of this machine."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from rbac.identity import NoSigner, Signer, Unverified, Verdict
from spaces.model.signing_keys import SigningKey

BEGIN = b"-----BEGIN PGP SIGNATURE-----"
_TIMEOUT = 30.0
_STATUS = "[GNUPG:] "
_GOOD_HASHES = frozenset({"8", "9", "10", "11", "12", "14"})
"""SHA-2 and SHA-3, by OpenPGP's numbers. Collisions can be made for the older hashes."""
_PLAIN_DOCUMENT = "00"
_NO_PUBLIC_KEY = "9"

_ABOUT_KEY = {
    "EXPKEYSIG": (NoSigner.EXPIRED_KEY, "the OpenPGP key that signed it has expired"),
    "REVKEYSIG": (NoSigner.REVOKED_KEY, "the OpenPGP key that signed it was revoked"),
    "EXPSIG": (NoSigner.BAD_SIGNATURE, "its OpenPGP signature has expired"),
    "BADSIG": (NoSigner.BAD_SIGNATURE, "its OpenPGP signature does not match its content"),
}


class GpgFailed(Exception):
    """gpg is missing, hung or could not work. It says nothing about a signature."""


@dataclass(frozen=True, slots=True)
class GoodSignature:
    """A valid signature: the fingerprints of the key and of the subkey that signed (the same without a subkey)."""

    primary: str
    signing: str


Checked: TypeAlias = GoodSignature | Unverified


@dataclass(frozen=True, slots=True)
class KeyState:
    """The state of a key or subkey: when it ends, and whether it is revoked or unusable.

    `expires` is in seconds since 1970; None: never.
    """

    expires: int | None
    revoked: bool


class GpgHome:
    """A directory with exactly the given keys, removed by `close`. One thread at a time may use it."""

    def __init__(self, program: str, keys: Iterable[SigningKey], parent: Path) -> None:
        """Import the keys, except those that gpg refuses; raise GpgFailed if gpg cannot be run."""
        self._program = program
        self._folder = tempfile.TemporaryDirectory(prefix="gpg-", dir=parent)
        self._home = Path(self._folder.name)
        try:
            self._states = self._take(list(keys))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the directory."""
        self._folder.cleanup()

    def check(self, signature: bytes, payload: bytes) -> Checked:
        """Check a detached signature; raise GpgFailed if gpg could not."""
        file = self._home / "signature.asc"
        file.write_bytes(signature)
        return read_status(self._run("--verify", "--", str(file), "-", stdin=payload))

    def judge(self, checked: Checked, now: datetime) -> Verdict:
        """Return who signed, by the state of the key at `now`, whatever the time of the commit."""
        if isinstance(checked, Unverified):
            return checked
        for fingerprint in (checked.primary, checked.signing):
            state = self._states.get(fingerprint)
            if state is None or state.revoked:
                return Unverified(*_ABOUT_KEY["REVKEYSIG"])
            if state.expires is not None and state.expires <= now.timestamp():
                return Unverified(*_ABOUT_KEY["EXPKEYSIG"])
        return Signer(checked.primary)

    def _take(self, keys: list[SigningKey]) -> Mapping[str, KeyState]:
        self._run("--import", stdin=b"".join(key.data for key in keys))
        states = self._list()
        missing = [key for key in keys if key.fingerprint not in states]
        for key in missing:  # a damaged key ends an import, and must not keep out the keys after it
            self._run("--import", stdin=key.data)
        return self._list() if missing else states

    def _list(self) -> dict[str, KeyState]:
        return read_listing(self._run("--with-colons", "--fixed-list-mode", "--list-keys"))

    def _run(self, *arguments: str, stdin: bytes = b"") -> str:
        command = [
            self._program,
            *("--homedir", str(self._home), "--no-options", "--batch", "--no-tty", "--quiet", "--no-autostart"),
            *("--no-auto-key-retrieve", "--no-auto-key-locate", "--disable-dirmngr", "--trust-model", "always"),
            *("--no-auto-check-trustdb", "--status-fd", "1", *arguments),
        ]
        env = {"HOME": str(self._home), "GNUPGHOME": str(self._home), "LC_ALL": "C", "PATH": "/usr/bin:/bin"}
        try:
            done = subprocess.run(
                command, input=stdin, env=env, cwd=self._home, capture_output=True, timeout=_TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as failure:
            raise GpgFailed(f"gpg could not be run ({type(failure).__name__})") from None
        return done.stdout.decode("utf-8", "replace")


def read_status(output: str) -> Checked:
    """Parse gpg's status lines about one signature. Only a signature that is good in every respect counts."""
    lines = [line.removeprefix(_STATUS).split() for line in output.splitlines() if line.startswith(_STATUS)]
    statuses: dict[str, list[list[str]]] = {}
    for words in lines:
        if words:
            statuses.setdefault(words[0], []).append(words[1:])
    for word, about in _ABOUT_KEY.items():
        if word in statuses:
            return Unverified(*about)
    if "ERRSIG" in statuses:
        fields = statuses["ERRSIG"][0]
        if fields[5:6] == [_NO_PUBLIC_KEY]:
            return Unverified(
                NoSigner.UNKNOWN_KEY, f"it is signed by the OpenPGP key {fields[0]}, which belongs to no user"
            )
        return Unverified(NoSigner.UNSUPPORTED, "its OpenPGP signature uses an algorithm that gpg does not accept")
    if any(len(statuses.get(word, [])) != 1 for word in ("NEWSIG", "GOODSIG", "VALIDSIG")):
        return Unverified(NoSigner.BAD_SIGNATURE, "its OpenPGP signature cannot be read as exactly one")
    return _read_valid(statuses["VALIDSIG"][0])


def _read_valid(fields: list[str]) -> Checked:
    if len(fields) < 10 or fields[8] != _PLAIN_DOCUMENT:
        return Unverified(NoSigner.UNSUPPORTED, "its OpenPGP signature is not a signature of a document")
    if fields[7] not in _GOOD_HASHES:
        return Unverified(NoSigner.UNSUPPORTED, "its OpenPGP signature uses a hash that the service does not accept")
    return GoodSignature(fields[9].upper(), fields[0].upper())


def read_listing(output: str) -> dict[str, KeyState]:
    """Parse `--list-keys --with-colons` into fingerprints, each with the state of the key or subkey."""
    states: dict[str, KeyState] = {}
    current: KeyState | None = None
    for line in output.splitlines():
        fields = line.split(":")
        if fields[0] in ("pub", "sub") and len(fields) > 6:
            revoked = fields[1] in ("r", "i", "d")
            current = KeyState(int(fields[6]) if fields[6].isdecimal() else None, revoked)
        elif fields[0] == "fpr" and len(fields) > 9 and current is not None:
            states[fields[9].upper()] = current
            current = None
    return states
