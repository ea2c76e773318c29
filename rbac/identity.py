"""Whose commit it is: by the key that provably signed it, or by an address, among the users in force.

The loop compiles `Identities` from the users in force and the service's settings, and asks `person` for each commit
before admission judges it. The answer is a person with the reason, or a stranger with the reason and a hint. Pure:
signatures are checked elsewhere (`reconciler.git.signatures`), and only the verdict comes in. An address proves nothing
by itself; it counts only in committer mode, or where a forge's key vouches for the line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, assert_never

from rbac.access.subjects import Subject, SubjectKind, user
from spaces.model.explain import shown
from spaces.model.people import UserSpec, email_key
from spaces.model.repository import SourceIdentity
from spaces.model.signing_keys import SigningKey, parse_signing_key
from spaces.names import Digest, is_name


class IdentityMode(StrEnum):
    """The evidence that tells whose commit it is."""

    SIGNED = "signed"
    COMMITTER = "committer"


class CommitLine(StrEnum):
    """The line of a commit that counts where a forge's key vouches for it."""

    AUTHOR = "author"
    COMMITTER = "committer"


class NoSigner(StrEnum):
    """Why a commit has no signer."""

    UNSIGNED = "Unsigned"
    UNKNOWN_KEY = "UnknownKey"
    BAD_SIGNATURE = "BadSignature"
    EXPIRED_KEY = "ExpiredKey"
    REVOKED_KEY = "RevokedKey"
    UNSUPPORTED = "UnsupportedSignature"
    NOT_CHECKED = "SignatureNotChecked"
    """The program that checks this kind of signature is missing or failed."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that provably signed the commit and is valid now."""

    fingerprint: str


@dataclass(frozen=True, slots=True)
class Unverified:
    """No key is proven to have signed the commit. `detail` is one line for people."""

    reason: NoSigner
    detail: str


Verdict: TypeAlias = Signer | Unverified


@dataclass(frozen=True, slots=True)
class Forge:
    """A server's own key, and the line that tells whose commit it is when the server signed it (a squash merge)."""

    key: SigningKey
    line: CommitLine

    @classmethod
    def parse(cls, text: str) -> Forge:
        """Parse `author KEY` or `committer KEY`; raise ValueError that names the wrong part."""
        word, _, key = text.strip().partition(" ")
        try:
            line = CommitLine(word)
        except ValueError:
            raise ValueError(f"{text[:40]!r}: write author or committer, then the key") from None
        return cls(parse_signing_key(key.strip()), line)


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses that a commit claims. They prove nothing by themselves."""

    author: str
    committer: str

    def of(self, line: CommitLine) -> str:
        """Return the address in a line of the commit."""
        match line:
            case CommitLine.AUTHOR:
                return self.author
            case CommitLine.COMMITTER:
                return self.committer
            case _:
                assert_never(line)


@dataclass(frozen=True, slots=True)
class Person:
    """Whose commit it is, and how the service knows."""

    subject: Subject
    because: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """A commit whose author is unknown. `reason` goes into log, metric and API; message and hint are for people."""

    reason: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Admins:
    """The first admins, as the service's own settings name them."""

    users: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    keys: tuple[SigningKey, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str], mode: IdentityMode) -> Admins:
        """Parse user names, public keys and, in committer mode, addresses.

        Raise ValueError that names the wrong text.
        """
        users, addresses, keys = set(), set(), []
        for text in texts:
            if is_name(text):
                users.add(text)
            elif "@" in text and " " not in text.strip():
                if mode is not IdentityMode.COMMITTER:
                    raise ValueError(f"{text!r} is an address, and addresses do not count with identity = signed")
                addresses.add(email_key(text.strip()))
            else:
                try:
                    keys.append(parse_signing_key(text))
                except ValueError as wrong:
                    raise ValueError(f"an admin is neither a user's name nor an address, and {wrong}") from None
        return cls(frozenset(users), frozenset(addresses), tuple(keys))

    @property
    def subjects(self) -> frozenset[Subject]:
        """The admins as subjects that may do everything."""
        others = [*self.addresses, *(key.fingerprint for key in self.keys)]
        return frozenset({*map(user, self.users), *(Subject(SubjectKind.ADMIN, name) for name in others)})


LOCAL_OPERATOR = Subject(SubjectKind.ADMIN, "operator of the data directory")
"""Whoever works on the data directory itself, by the local command line."""

SIGN_HINT = (
    "sign commits with a key of your User document (git config gpg.format ssh; git config user.signingKey KEY.pub; "
    "git commit -S), or ask somebody with the right to approve the change; with identity = committer the service would "
    "trust the committer's address instead, which is safe only behind a server that checks it"
)
ADDRESS_HINT = "add the address to the emails of one User document, or commit with an address that is in one"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys that may sign, by fingerprint. `digest` identifies the set, for verdicts that are remembered with it."""

    keys: Mapping[str, SigningKey]
    digest: Digest

    @classmethod
    def of(cls, keys: Iterable[SigningKey]) -> KeyRing:
        """Gather the keys; a key that comes twice counts once."""
        by_fingerprint = {key.fingerprint: key for key in keys}
        total = hashlib.sha256()
        for fingerprint, key in sorted(by_fingerprint.items()):
            total.update(f"{fingerprint} {len(key.data)} ".encode() + key.data)
        return cls(by_fingerprint, Digest(total.hexdigest()))


@dataclass(frozen=True, slots=True, eq=False)
class Identities:
    """The persons behind keys and addresses, by the users in force and the service's settings."""

    mode: IdentityMode
    ring: KeyRing
    """Every key that may sign: those of users, admins and forges."""
    _keys: Mapping[str, frozenset[str]] = field(repr=False)
    _emails: Mapping[str, frozenset[str]] = field(repr=False)
    _admins: Admins = field(repr=False)
    _forges: Mapping[str, Forge] = field(repr=False)

    @classmethod
    def compile(
        cls,
        users: Mapping[str, UserSpec],
        admins: Admins = Admins(),
        forges: Iterable[Forge] = (),
        mode: IdentityMode = IdentityMode.SIGNED,
    ) -> Identities:
        """Index the keys and addresses. A key or an address that several users claim identifies none of them."""
        keys: dict[str, set[str]] = {}
        emails: dict[str, set[str]] = {}
        known = {}
        for name, spec in users.items():
            for key in spec.keys:
                keys.setdefault(key.fingerprint, set()).add(name)
                known[key.fingerprint] = key
            for address in spec.emails:
                emails.setdefault(email_key(address), set()).add(name)
        by_forge = {forge.key.fingerprint: forge for forge in forges}
        # The settings come last: the repository cannot change what they determine about a key.
        ring = KeyRing.of([*known.values(), *admins.keys, *(forge.key for forge in by_forge.values())])
        frozen_keys = {fingerprint: frozenset(names) for fingerprint, names in keys.items()}
        frozen_emails = {address: frozenset(names) for address, names in emails.items()}
        return cls(mode, ring, frozen_keys, frozen_emails, admins, by_forge)

    def person(self, verdict: Verdict | None, addresses: Addresses) -> Person | Stranger:
        """Return the person of a commit. `verdict` may be None only in committer mode."""
        match self.mode:
            case IdentityMode.COMMITTER:
                return self._by_address(addresses.committer, "by the committer's address, which nothing proves")
            case IdentityMode.SIGNED:
                return self._by_signature(verdict, addresses)
            case _:
                assert_never(self.mode)

    def authors(
        self, evidence: SourceIdentity, verdict: Verdict | None, addresses: Addresses
    ) -> tuple[Person | Stranger, ...]:
        """Return whose a commit of a source repository is; whoever is named counts, since it gives nobody a right."""
        committer = self._by_address(addresses.committer, "by the committer's address")
        signer = self._by_signature(verdict, addresses)
        match evidence:
            case SourceIdentity.COMMITTER:
                return (committer,)
            case SourceIdentity.SIGNED:
                return (signer,)
            case SourceIdentity.NAMED:
                author = self._by_address(addresses.author, "by the author's address")
                return (signer,) if isinstance(signer, Person) else (committer, author)
            case _:
                assert_never(evidence)

    def _by_signature(self, verdict: Verdict | None, addresses: Addresses) -> Person | Stranger:
        match verdict:
            case Signer(fingerprint):
                return self._by_key(fingerprint, addresses)
            case Unverified(reason, detail):
                return Stranger(reason.value, detail, SIGN_HINT)
            case None:
                return Stranger(NoSigner.NOT_CHECKED.value, "the signature was not checked", SIGN_HINT)
            case _:
                assert_never(verdict)

    def _by_key(self, fingerprint: str, addresses: Addresses) -> Person | Stranger:
        if any(key.fingerprint == fingerprint for key in self._admins.keys):
            return Person(Subject(SubjectKind.ADMIN, fingerprint), f"signed by the admins' key {fingerprint}")
        forge = self._forges.get(fingerprint)
        if forge is not None:
            how = f"by the {forge.line} of a commit that the forge's key {fingerprint} signed"
            return self._by_address(addresses.of(forge.line), how)
        names = self._keys.get(fingerprint, frozenset())
        if len(names) > 1:
            message = f"the key {fingerprint} belongs to several users, so it identifies none of them"
            return Stranger("AmbiguousKey", message, "keep it in only one User document")
        for name in names:
            return Person(user(name), f"signed by the key {fingerprint}")
        return Stranger(NoSigner.UNKNOWN_KEY.value, f"the key {fingerprint} belongs to no user", SIGN_HINT)

    def _by_address(self, address: str, how: str) -> Person | Stranger:
        key = email_key(address)
        if key and key in self._admins.addresses and self.mode is IdentityMode.COMMITTER:
            return Person(Subject(SubjectKind.ADMIN, key), how)
        names = self._emails.get(key, frozenset())
        if len(names) > 1:
            message = f"the address {shown(address)} belongs to several users, so it identifies none of them"
            return Stranger("AmbiguousAddress", message, "keep it in only one User document")
        for name in names:
            return Person(user(name), f"{how} {address}")
        return Stranger("UnknownAddress", f"the address {shown(address) or '(none)'} belongs to no user", ADDRESS_HINT)
