"""Who signed a commit: the signer's key, if the ring has it and it is valid now.

The loop calls `verify` for each commit before it asks who the person is. The verdict is a `Signer` or an `Unverified`
with a reason for people; it never raises for a bad signature. Each signature is checked once for each set of keys and
remembered, but whether its key has expired or was revoked is decided at the present time, whatever the commit's own
date. Neither this machine's gpg keys nor its SSH settings are consulted, and the author line of the commit never
counts.
"""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rbac.identity import KeyRing, NoSigner, Signer, Unverified, Verdict
from reconciler.git import openpgp, sshsig
from reconciler.git.objects import CommitInfo
from reconciler.git.openpgp import Checked, GoodSignature, GpgFailed, GpgHome
from reconciler.git.sshsig import verify_ssh
from spaces.model.signing_keys import KeyKind
from spaces.names import Digest, Revision

_REMEMBERED = 20_000
_HOMES = 4


class Signatures:
    """Checks the signatures of commits. Threads may share it."""

    def __init__(self, directory: Path, path: str | None = None) -> None:
        """Keep temporary key rings in `directory`, and look for gpg in `path` (None: the process's PATH)."""
        self._directory = directory
        self._gpg = shutil.which("gpg", path=path)
        self._lock = threading.Lock()
        self._checked: OrderedDict[tuple[Revision, Digest], Verdict | Checked] = OrderedDict()
        self._subsets: OrderedDict[Digest, KeyRing] = OrderedDict()
        self._homes: OrderedDict[Digest, GpgHome] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the key rings."""
        with self._lock:
            while self._homes:
                self._homes.popitem()[1].close()

    def verify(self, commit: CommitInfo, ring: KeyRing, now: datetime) -> Verdict:
        """Return the key of the ring that signed the commit and is valid at `now`, or why there is none."""
        if commit.signature is None:
            return Unverified(NoSigner.UNSIGNED, "it has no signature, or more than one")
        armored, payload = commit.signature
        with self._lock:
            if armored.startswith(sshsig.BEGIN):
                return self._verify_ssh(commit.revision, armored, payload, ring)
            if armored.startswith(openpgp.BEGIN):
                return self._verify_openpgp(commit.revision, armored, payload, ring, now)
        return Unverified(NoSigner.UNSUPPORTED, "its signature is neither an SSH nor an OpenPGP signature")

    def _verify_ssh(self, revision: Revision, armored: bytes, payload: bytes, ring: KeyRing) -> Verdict:
        known = self._checked.get((revision, ring.digest))
        if isinstance(known, Signer | Unverified):
            return known
        verdict = verify_ssh(armored, payload, ring)
        self._remember(revision, ring, verdict)
        return verdict

    def _verify_openpgp(
        self, revision: Revision, armored: bytes, payload: bytes, ring: KeyRing, now: datetime
    ) -> Verdict:
        keys = self._openpgp_keys(ring)
        if not keys.keys:
            return Unverified(NoSigner.UNKNOWN_KEY, "it is signed by an OpenPGP key, but no user has one")
        if self._gpg is None:
            return Unverified(NoSigner.NOT_CHECKED, "it has an OpenPGP signature, but gpg is not installed here")
        try:
            home = self._home(self._gpg, keys)
            known = self._checked.get((revision, keys.digest))
            checked = known if isinstance(known, GoodSignature | Unverified) else home.check(armored, payload)
        except GpgFailed as failure:
            return Unverified(NoSigner.NOT_CHECKED, f"its OpenPGP signature could not be checked: {failure}")
        self._remember(revision, keys, checked)
        return home.judge(checked, now)

    def _openpgp_keys(self, ring: KeyRing) -> KeyRing:
        keys = self._subsets.get(ring.digest)
        if keys is None:
            keys = KeyRing.of(key for key in ring.keys.values() if key.kind is KeyKind.OPENPGP)
            self._subsets[ring.digest] = keys
            if len(self._subsets) > _HOMES:
                self._subsets.popitem(last=False)
        return keys

    def _home(self, program: str, keys: KeyRing) -> GpgHome:
        home = self._homes.get(keys.digest)
        if home is None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            home = self._homes[keys.digest] = GpgHome(program, keys.keys.values(), self._directory)
            while len(self._homes) > _HOMES:
                self._homes.popitem(last=False)[1].close()
        return home

    def _remember(self, revision: Revision, ring: KeyRing, checked: Verdict | Checked) -> None:
        self._checked[revision, ring.digest] = checked
        if len(self._checked) > _REMEMBERED:
            self._checked.popitem(last=False)
