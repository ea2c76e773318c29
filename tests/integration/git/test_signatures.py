"""Real keys of ssh-keygen and gpg, real signed commits: who signed, and why nobody did."""

import base64
import hashlib
import os
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rbac.identity import Addresses, Identities, KeyRing, NoSigner, Person, Signer, Unverified
from reconciler.git.openpgp import GoodSignature, read_listing, read_status
from reconciler.git.signatures import Signatures
from reconciler.git.sshsig import verify_ssh
from spaces.model.people import UserSpec
from spaces.model.signing_keys import parse_signing_key
from tests.needs import needs

NOW = datetime.now(UTC)
needs_ssh = needs("git", "ssh-keygen")
needs_gpg = needs("git", "gpg")


@pytest.fixture
def signatures(tmp_path):
    with Signatures(tmp_path / "rings") as found:
        yield found
    assert list((tmp_path / "rings").glob("*")) == []


# SSH


def ssh_key(folder, name="key", kind="ed25519", bits=()):
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *bits, "-N", "", "-C", "me", "-f", path], check=True)
    return path, parse_signing_key(path.with_name(name + ".pub").read_text())


def signed_commit(repo, config, message="signed", **options):
    """Commit with a signature; `config` are settings of git for this command."""
    settings = [part for key, value in config.items() for part in ("-c", f"{key}={value}")]
    repo.git(*settings, "commit", "-q", "--allow-empty", "-S", "-m", message, *options.get("more", ()))
    return repo.trees.commit(repo.git("rev-parse", "HEAD"))


def by_ssh(repo, path, **options):
    return signed_commit(repo, {"gpg.format": "ssh", "user.signingKey": path}, **options)


SSH_KINDS = [
    pytest.param("ed25519", (), id="ed25519"),
    pytest.param("rsa", ("-b", "3072"), id="rsa"),
    *(pytest.param("ecdsa", ("-b", bits), id=f"ecdsa-{bits}") for bits in ("256", "384", "521")),
]


@needs_ssh
@pytest.mark.parametrize(("kind", "bits"), SSH_KINDS)
def test_a_commit_signed_with_ssh_has_a_signer(repo, tmp_path, signatures, kind, bits):
    path, key = ssh_key(tmp_path, kind=kind, bits=bits)
    commit = by_ssh(repo, path)
    assert signatures.verify(commit, KeyRing.of([key]), NOW) == Signer(key.fingerprint)
    listed = subprocess.run(["ssh-keygen", "-l", "-f", path], capture_output=True, check=True, text=True).stdout
    assert key.fingerprint in listed


@needs_ssh
def test_author_and_committer_lines_prove_nothing(repo, tmp_path, signatures):
    ada, ada_key = ssh_key(tmp_path, "ada")
    mallory, mallory_key = ssh_key(tmp_path, "mallory")
    users = {
        "ada": UserSpec.model_validate(
            {"emails": ["ada@example.org"], "signingKeys": [ada.with_suffix(".pub").read_text().strip()]}
        ),
        "mallory": UserSpec.model_validate({"signingKeys": [mallory.with_suffix(".pub").read_text().strip()]}),
    }
    commit = by_ssh(repo, mallory, more=["--author", "Ada <ada@example.org>"])
    assert (commit.author_email, commit.committer_email) == ("ada@example.org", "ada@example.org")
    identities = Identities.compile(users)
    person = identities.person(
        signatures.verify(commit, identities.ring, NOW), Addresses(commit.author_email, commit.committer_email)
    )
    assert isinstance(person, Person)
    assert str(person.subject) == "user:mallory"
    assert {ada_key.fingerprint, mallory_key.fingerprint} == set(identities.ring.keys)


@needs_ssh
@pytest.mark.parametrize(
    ("ring", "reason"),
    [
        pytest.param("other", NoSigner.UNKNOWN_KEY, id="unknown"),
        pytest.param("none", NoSigner.UNKNOWN_KEY, id="removed"),
    ],
)
def test_a_key_that_is_not_listed_is_nobodys(repo, tmp_path, signatures, ring, reason):
    path, key = ssh_key(tmp_path)
    _, other = ssh_key(tmp_path, "other")
    commit = by_ssh(repo, path)
    assert signatures.verify(commit, KeyRing.of([key]), NOW) == Signer(
        key.fingerprint
    )  # and nothing of this is kept for
    found = signatures.verify(commit, KeyRing.of([other] if ring == "other" else []), NOW)
    assert isinstance(found, Unverified)
    assert found.reason is reason
    assert key.fingerprint in found.detail


def test_an_unsigned_commit_has_no_signer(repo, signatures):
    commit = repo.trees.commit(repo.commit({"a": "b"}))
    found = signatures.verify(commit, KeyRing.of([]), NOW)
    assert isinstance(found, Unverified)
    assert found.reason is NoSigner.UNSIGNED


def rewritten(repo, change):
    """Write the last commit's object anew with `change` applied to its bytes."""
    raw = subprocess.run(["git", "cat-file", "commit", "HEAD"], cwd=repo.path, capture_output=True, check=True).stdout
    changed = change(raw)
    assert changed != raw
    return repo.trees.commit(repo.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=changed))


@needs_ssh
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda raw: raw.replace(b"signed\n", b"forged\n"), NoSigner.BAD_SIGNATURE, id="message"),
        pytest.param(lambda raw: raw.replace(b"Ada", b"Eve", 1), NoSigner.BAD_SIGNATURE, id="author"),
        pytest.param(lambda raw: raw.replace(b"+0000", b"+0100"), NoSigner.BAD_SIGNATURE, id="time"),
        pytest.param(lambda raw: raw.replace(b"BEGIN SSH SIG", b"BEGIN OUR SIG"), NoSigner.UNSUPPORTED, id="armor"),
        pytest.param(lambda raw: raw.replace(b"-----BEGIN SSH SIGNATURE-----\n ", b"-----BEGIN SSH SIGNATURE-----\n !"), NoSigner.BAD_SIGNATURE, id="base64"),
        pytest.param(lambda raw: raw.replace(b"\n U1NIU0lHAAAAAQ", b"\n U1NIU0lHAAAAAg"), NoSigner.UNSUPPORTED, id="version"),
        pytest.param(lambda raw: raw.replace(b"gpgsig ", b"gpgsig x\ngpgsig "), NoSigner.UNSIGNED, id="two"),
    ],
)  # fmt: skip
def test_what_was_changed_after_signing_is_refused(repo, tmp_path, signatures, change, reason):
    path, key = ssh_key(tmp_path)
    by_ssh(repo, path)
    found = signatures.verify(rewritten(repo, change), KeyRing.of([key]), NOW)
    assert isinstance(found, Unverified)
    assert found.reason is reason


@needs_ssh
@pytest.mark.parametrize(("namespace", "good"), [("git", True), ("file", False), ("email", False), ("git2", False)])
def test_a_signature_of_something_else_is_none_of_a_commit(tmp_path, namespace, good):
    path, key = ssh_key(tmp_path)
    done = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", path, "-n", namespace],
        input=b"payload",
        capture_output=True,
        check=True,
    )
    assert (verify_ssh(done.stdout, b"payload", KeyRing.of([key])) == Signer(key.fingerprint)) is good


@needs_ssh
@pytest.mark.parametrize("cut", [0, 1, 40, 100, -40, -1])
def test_a_cut_signature_is_refused(tmp_path, cut):
    path, key = ssh_key(tmp_path)
    done = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", path, "-n", "git"], input=b"payload", capture_output=True, check=True
    )
    lines = done.stdout.strip().split(b"\n")
    data = base64.b64decode(b"".join(lines[1:-1]))[:cut]
    armored = b"\n".join([lines[0], base64.b64encode(data), lines[-1]])
    assert isinstance(verify_ssh(armored, b"payload", KeyRing.of([key])), Unverified)


# SSH keys in hardware: made here by the rules that ssh-keygen checks below


def packed(*parts):
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def mpint(number):
    return number.to_bytes(number.bit_length() // 8 + 1)


def security_key(kind):
    """Give the key's line and a function that signs as the hardware does."""
    application = b"ssh:"
    if kind == "ed25519":
        private = Ed25519PrivateKey.generate()
        algorithm = b"sk-ssh-ed25519@openssh.com"
        blob = packed(algorithm, private.public_key().public_bytes_raw(), application)
        raw = private.sign
    else:
        private = ec.generate_private_key(ec.SECP256R1())
        algorithm = b"sk-ecdsa-sha2-nistp256@openssh.com"
        point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        blob = packed(algorithm, b"nistp256", point, application)

        def raw(data):
            return packed(*map(mpint, decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))))

    def sign(payload, flags):
        signed = b"SSHSIG" + packed(b"git", b"", b"sha512", hashlib.sha512(payload).digest())
        tail = bytes([flags]) + (7).to_bytes(4)
        covered = hashlib.sha256(application).digest() + tail + hashlib.sha256(signed).digest()
        envelope = (
            b"SSHSIG" + (1).to_bytes(4) + packed(blob, b"git", b"", b"sha512", packed(algorithm, raw(covered)) + tail)
        )
        return b"-----BEGIN SSH SIGNATURE-----\n" + base64.encodebytes(envelope) + b"-----END SSH SIGNATURE-----\n"

    return f"{algorithm.decode()} {base64.b64encode(blob).decode()}", sign


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_touched_security_key_signs(kind):
    line, sign = security_key(kind)
    ring = KeyRing.of([parse_signing_key(line)])
    assert verify_ssh(sign(b"payload", 1), b"payload", ring) == Signer(*ring.keys)
    assert isinstance(verify_ssh(sign(b"payload", 1), b"other", ring), Unverified)
    untouched = verify_ssh(sign(b"payload", 0), b"payload", ring)
    assert isinstance(untouched, Unverified)
    assert "touch" in untouched.detail


@needs_ssh
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_ssh_keygen_agrees_about_security_keys(tmp_path, kind):
    line, sign = security_key(kind)
    (tmp_path / "allowed").write_text(f"me {line}\n")
    (tmp_path / "sig").write_bytes(sign(b"payload", 1))
    command = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        tmp_path / "allowed",
        "-I",
        "me",
        "-n",
        "git",
        "-s",
        tmp_path / "sig",
    ]
    assert subprocess.run(command, input=b"payload", capture_output=True, check=False).returncode == 0
    assert subprocess.run(command, input=b"other", capture_output=True, check=False).returncode != 0


# OpenPGP


@pytest.fixture
def gpg(tmp_path_factory):
    """A person's own gpg, with its agent stopped at the end."""
    # A short name: the path of its agent's socket has room for a hundred bytes.
    home = tmp_path_factory.mktemp("g")
    home.chmod(0o700)
    env = {"PATH": os.environ["PATH"], "GNUPGHOME": str(home), "HOME": str(home), "LC_ALL": "C"}

    def run(*arguments, stdin=b""):
        command = [
            "gpg",
            "--batch",
            "--quiet",
            "--no-tty",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
            *arguments,
        ]
        return subprocess.run(command, env=env, input=stdin, capture_output=True, check=True).stdout

    run.home = home
    yield run
    subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False, capture_output=True)


def pgp_key(gpg, name="ada", expires="never", algorithm="ed25519", created=None):
    when = ["--faked-system-time", f"{created:%Y%m%dT%H%M%S}!"] if created else []
    gpg(*when, "--quick-generate-key", f"{name}@example.com", algorithm, "sign", expires)
    listing = gpg("--with-colons", "--list-keys", f"{name}@example.com").decode()
    return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))


def exported(gpg, fingerprint):
    return parse_signing_key(gpg("--armor", "--export", fingerprint).decode())


def by_gpg(repo, gpg, fingerprint, tmp_path, created=None):
    """Commit with gpg, at a time of its choice."""
    script = tmp_path / "gpg-of-this-person"
    when = f"--faked-system-time '{created:%Y%m%dT%H%M%S}!'" if created else ""
    script.write_text(
        f"#!/bin/sh\nGNUPGHOME='{gpg.home}' exec gpg --batch --pinentry-mode loopback --passphrase '' {when} \"$@\"\n"
    )
    script.chmod(0o755)
    return signed_commit(repo, {"gpg.program": script, "user.signingKey": fingerprint})


@needs_gpg
@pytest.mark.parametrize("algorithm", ["ed25519", "rsa2048"])
def test_a_commit_signed_with_openpgp_has_a_signer(repo, tmp_path, signatures, gpg, algorithm):
    fingerprint = pgp_key(gpg, algorithm=algorithm)
    key = exported(gpg, fingerprint)
    assert key.fingerprint == fingerprint
    commit = by_gpg(repo, gpg, fingerprint, tmp_path)
    assert signatures.verify(commit, KeyRing.of([key]), NOW) == Signer(fingerprint)
    forged = rewritten(repo, lambda raw: raw.replace(b"signed\n", b"forged\n"))
    assert signatures.verify(forged, KeyRing.of([key]), NOW).reason is NoSigner.BAD_SIGNATURE


@needs_gpg
def test_a_subkeys_signature_is_its_keys(repo, tmp_path, signatures, gpg):
    fingerprint = pgp_key(gpg)
    gpg("--quick-add-key", fingerprint, "ed25519", "sign")
    commit = by_gpg(repo, gpg, fingerprint, tmp_path)
    assert signatures.verify(commit, KeyRing.of([exported(gpg, fingerprint)]), NOW) == Signer(fingerprint)


@needs_gpg
def test_an_unknown_openpgp_key_is_nobodys(repo, tmp_path, signatures, gpg):
    mine, other = pgp_key(gpg), pgp_key(gpg, "other")
    commit = by_gpg(repo, gpg, mine, tmp_path)
    for ring in ([], [exported(gpg, other)]):
        assert signatures.verify(commit, KeyRing.of(ring), NOW).reason is NoSigner.UNKNOWN_KEY


@needs_gpg
def test_an_expired_key_does_not_count_however_far_back_the_commit_is_dated(repo, tmp_path, signatures, gpg):
    past = NOW - timedelta(days=30)
    fingerprint = pgp_key(gpg, expires="1d", created=past)
    commit = by_gpg(repo, gpg, fingerprint, tmp_path, created=past + timedelta(hours=1))
    assert commit.time < past.timestamp()
    assert signatures.verify(commit, KeyRing.of([exported(gpg, fingerprint)]), NOW).reason is NoSigner.EXPIRED_KEY


@needs_gpg
def test_a_key_that_expires_later_is_judged_by_the_time_that_is_given(repo, tmp_path, signatures, gpg):
    fingerprint = pgp_key(gpg, expires="2d")
    commit = by_gpg(repo, gpg, fingerprint, tmp_path)
    ring = KeyRing.of([exported(gpg, fingerprint)])
    assert signatures.verify(commit, ring, NOW) == Signer(fingerprint)
    assert signatures.verify(commit, ring, NOW + timedelta(days=3)).reason is NoSigner.EXPIRED_KEY
    assert signatures.verify(commit, ring, NOW) == Signer(fingerprint)


@needs_gpg
def test_a_revoked_key_does_not_count(repo, tmp_path, signatures, gpg):
    fingerprint = pgp_key(gpg)
    commit = by_gpg(repo, gpg, fingerprint, tmp_path)
    certificate = (
        (gpg.home / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text().replace(":-----BEGIN", "-----BEGIN")
    )
    gpg("--import", stdin=certificate.encode())
    assert signatures.verify(commit, KeyRing.of([exported(gpg, fingerprint)]), NOW).reason is NoSigner.REVOKED_KEY


@needs_gpg
def test_a_weak_hash_does_not_count(repo, tmp_path, signatures, gpg):
    fingerprint = pgp_key(gpg, algorithm="rsa2048")
    (gpg.home / "gpg.conf").write_text("digest-algo SHA1\n")
    commit = by_gpg(repo, gpg, fingerprint, tmp_path)
    assert signatures.verify(commit, KeyRing.of([exported(gpg, fingerprint)]), NOW).reason is NoSigner.UNSUPPORTED


@needs_gpg
def test_a_damaged_key_of_one_does_not_keep_out_the_others(repo, tmp_path, signatures, gpg):
    from dataclasses import replace

    fingerprint = pgp_key(gpg)
    damaged = exported(gpg, pgp_key(gpg, "other"))
    damaged = replace(damaged, fingerprint="0" * 40, data=damaged.data[:60] + b"\xff" * 60)
    commit = by_gpg(repo, gpg, fingerprint, tmp_path)
    ring = KeyRing.of([damaged, exported(gpg, fingerprint)])
    assert signatures.verify(commit, ring, NOW) == Signer(fingerprint)


@needs_gpg
def test_a_private_key_block_is_refused(gpg):
    armored = gpg("--armor", "--export-secret-keys", pgp_key(gpg)).decode()
    for text in (armored, armored.replace("PRIVATE", "PUBLIC")):
        with pytest.raises(ValueError, match="private key"):
            parse_signing_key(text)


@needs_gpg
def test_several_keys_in_one_block_are_refused(gpg):
    pgp_key(gpg), pgp_key(gpg, "other")
    with pytest.raises(ValueError, match="exactly one"):
        parse_signing_key(gpg("--armor", "--export").decode())


@needs_gpg
def test_without_gpg_it_is_said_that_nothing_was_checked(repo, tmp_path, gpg):
    fingerprint = pgp_key(gpg)
    commit = by_gpg(repo, gpg, fingerprint, tmp_path)
    with Signatures(tmp_path / "none", path=str(tmp_path / "nowhere")) as blind:
        found = blind.verify(commit, KeyRing.of([exported(gpg, fingerprint)]), NOW)
    assert found.reason is NoSigner.NOT_CHECKED
    assert "gpg is not installed" in found.detail


@needs_gpg
def test_a_signature_is_checked_once_per_set_of_keys(repo, tmp_path, signatures, gpg, monkeypatch):
    fingerprint = pgp_key(gpg)
    commit, ring = by_gpg(repo, gpg, fingerprint, tmp_path), KeyRing.of([exported(gpg, fingerprint)])
    assert signatures.verify(commit, ring, NOW) == Signer(fingerprint)
    monkeypatch.setattr(subprocess, "run", None)
    assert signatures.verify(commit, ring, NOW) == Signer(fingerprint)


# What gpg says


GOOD = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 77 ada\n[GNUPG:] VALIDSIG AA 2026-01-01 1 0 4 0 22 8 00 BB\n"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        pytest.param(GOOD, GoodSignature("BB", "AA"), id="good"),
        pytest.param(GOOD + GOOD, NoSigner.BAD_SIGNATURE, id="two-signatures"),
        pytest.param(GOOD.replace("GOODSIG", "EXPKEYSIG"), NoSigner.EXPIRED_KEY, id="expired"),
        pytest.param(GOOD.replace("GOODSIG", "REVKEYSIG"), NoSigner.REVOKED_KEY, id="revoked"),
        pytest.param(GOOD.replace("GOODSIG", "EXPSIG"), NoSigner.BAD_SIGNATURE, id="expired-signature"),
        pytest.param(GOOD + "[GNUPG:] BADSIG 77 ada\n", NoSigner.BAD_SIGNATURE, id="good-and-bad"),
        pytest.param("[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 77 ada\n", NoSigner.BAD_SIGNATURE, id="not-valid"),
        pytest.param("[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG 77 1 8 00 1 9 AA\n", NoSigner.UNKNOWN_KEY, id="no-key"),
        pytest.param("[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG 77 1 8 00 1 4 AA\n", NoSigner.UNSUPPORTED, id="algorithm"),
        pytest.param(GOOD.replace(" 8 00 ", " 2 00 "), NoSigner.UNSUPPORTED, id="sha1"),
        pytest.param(GOOD.replace(" 8 00 ", " 8 01 "), NoSigner.UNSUPPORTED, id="of-a-text"),
        pytest.param("GOODSIG\nVALIDSIG", NoSigner.BAD_SIGNATURE, id="not-a-status"),
        pytest.param("", NoSigner.BAD_SIGNATURE, id="nothing"),
    ],
)  # fmt: skip
def test_only_a_signature_that_is_good_in_every_respect_counts(output, expected):
    found = read_status(output)
    assert (found.reason if isinstance(found, Unverified) else found) == expected


def test_a_listing_tells_when_keys_end():
    states = read_listing("pub:r:255:22:A:1:2:::\nfpr:::::::::AA:\nsub:u:255:22:B:1::::\nfpr:::::::::BB:\nuid:u\n")
    assert {name: (state.expires, state.revoked) for name, state in states.items()} == {
        "AA": (2, True),
        "BB": (None, False),
    }
