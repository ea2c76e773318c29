"""Whose commit it is, by key, by a forge's key, or by address."""

import base64

import pytest

from rbac.access.subjects import Subject, SubjectKind, user
from rbac.identity import (
    Addresses,
    Admins,
    CommitLine,
    Forge,
    Identities,
    IdentityMode,
    KeyRing,
    NoSigner,
    Person,
    Signer,
    Stranger,
    Unverified,
)
from spaces.model.people import UserSpec
from spaces.model.signing_keys import parse_signing_key


def key_line(seed):
    name = b"ssh-ed25519"
    blob = len(name).to_bytes(4) + name + (32).to_bytes(4) + bytes([seed]) * 32
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def fingerprint(seed):
    return parse_signing_key(key_line(seed)).fingerprint


def person_of(*keys, emails=()):
    return UserSpec.model_validate({"signingKeys": [key_line(key) for key in keys], "emails": list(emails)})


USERS = {
    "ada": person_of(1, 2, emails=["ada@example.org"]),
    "bob": person_of(3, emails=["bob@example.org", "shared@example.org"]),
    "eve": person_of(4, 3, emails=["shared@example.org"]),
}
NOBODY = Addresses("", "")
AS_ADA = Addresses("ada@example.org", "ada@example.org")


def who(identities, verdict, addresses=NOBODY):
    found = identities.person(verdict, addresses)
    return str(found.subject) if isinstance(found, Person) else found.reason


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        pytest.param(Signer(fingerprint(1)), "user:ada", id="her-key"),
        pytest.param(Signer(fingerprint(2)), "user:ada", id="her-other-key"),
        pytest.param(Signer(fingerprint(4)), "user:eve", id="someone-else-with-adas-lines"),
        pytest.param(Signer(fingerprint(3)), "AmbiguousKey", id="a-key-of-two"),
        pytest.param(Signer(fingerprint(9)), "UnknownKey", id="a-key-of-nobody"),
        pytest.param(Unverified(NoSigner.UNSIGNED, "x"), "Unsigned", id="unsigned"),
        pytest.param(Unverified(NoSigner.EXPIRED_KEY, "x"), "ExpiredKey", id="expired"),
        pytest.param(None, "SignatureNotChecked", id="not-checked"),
    ],
)
def test_the_verified_signer_decides_whatever_the_lines_say(verdict, expected):
    assert who(Identities.compile(USERS), verdict, AS_ADA) == expected


def test_a_stranger_is_told_how_to_sign_and_what_the_other_mode_means():
    found = Identities.compile(USERS).person(Unverified(NoSigner.UNSIGNED, "it carries no signature"), AS_ADA)
    assert isinstance(found, Stranger)
    assert "git commit -S" in found.hint
    assert "identity = committer" in found.hint


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ada@example.org", "user:ada"),
        ("ADA@Example.org", "user:ada"),
        ("shared@example.org", "AmbiguousAddress"),
        ("who@example.org", "UnknownAddress"),
        ("", "UnknownAddress"),
        ("root@example.org", "admin:root@example.org"),
        ("ada@example.org\n", "UnknownAddress"),
    ],
)
def test_the_committer_decides_where_the_operator_says_so(address, expected):
    admins = Admins.parse(["root@example.org"], IdentityMode.COMMITTER)
    identities = Identities.compile(USERS, admins, mode=IdentityMode.COMMITTER)
    assert who(identities, Signer(fingerprint(4)), Addresses("eve@example.org", address)) == expected


@pytest.mark.parametrize(
    ("line", "expected"), [(CommitLine.AUTHOR, "user:ada"), (CommitLine.COMMITTER, "UnknownAddress")]
)
def test_a_forges_key_vouches_for_one_line(line, expected):
    forge = Forge(parse_signing_key(key_line(7)), line)
    identities = Identities.compile(USERS, forges=[forge])
    addresses = Addresses("ada@example.org", "noreply@forge.example")
    assert who(identities, Signer(fingerprint(7)), addresses) == expected
    assert who(identities, Signer(fingerprint(4)), addresses) == "user:eve"


def test_a_user_cannot_take_over_the_key_of_an_admin_or_a_forge():
    forge = Forge(parse_signing_key(key_line(7)), CommitLine.AUTHOR)
    admins = Admins.parse([key_line(8)], IdentityMode.SIGNED)
    identities = Identities.compile({"eve": person_of(7, 8)}, admins, [forge])
    assert who(identities, Signer(fingerprint(8))) == f"admin:{fingerprint(8)}"
    assert who(identities, Signer(fingerprint(7)), AS_ADA) == "UnknownAddress"


def test_admins_are_names_keys_and_where_they_count_addresses():
    admins = Admins.parse(["ada", key_line(5) + " ada@laptop"], IdentityMode.SIGNED)
    assert admins.subjects == {user("ada"), Subject(SubjectKind.ADMIN, fingerprint(5))}
    assert admins.keys[0].fingerprint in Identities.compile({}, admins).ring.keys


@pytest.mark.parametrize(
    ("text", "why"),
    [("ada@example.org", "do not count"), ("Ada", "neither"), ("", "neither"), ("ssh-ed25519 AAAA", "damaged|fit")],
)
def test_admins_that_cannot_be(text, why):
    with pytest.raises(ValueError, match=why):
        Admins.parse([text], IdentityMode.SIGNED)


def test_a_key_ring_is_known_by_its_keys():
    one, two = parse_signing_key(key_line(1)), parse_signing_key(key_line(2))
    assert KeyRing.of([one, two]).digest == KeyRing.of([two, one, one]).digest
    assert KeyRing.of([one]).digest != KeyRing.of([two]).digest
