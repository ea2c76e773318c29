"""What the kinds of access accept, and how everything else is refused: code and place."""

from datetime import UTC, datetime

import pytest

from spaces.model.people import UserSpec, email_key
from spaces.model.role import ACCESS_SPECS, RESERVED_NAMES, ROOT_ONLY, VERBS, RoleBindingSpec, noun, parse_time
from spaces.model.signing_keys import KeyKind, parse_signing_key
from spaces.names import Kind
from spaces.reading.resources import parse_file
from tests.unit.spaces.model.specs import accepted, parse, refused

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKhmC7mzSyuyAvSlqY6D7vxVZrpAnuGrXXW61fCTeZQu"


def test_a_binding_says_all_it_can():
    spec = accepted(
        "RoleBinding",
        "  role: writer\n"
        "  subjects: [{user: alice}, {group: platform}, {apiKey: ci}, {stack: production/network}]\n"
        "  expires: 2030-12-31T18:00:00+01:00\n",
    )
    assert isinstance(spec, RoleBindingSpec)
    assert [each.model_dump(exclude_none=True) for each in spec.subjects] == [
        {"user": "alice"},
        {"group": "platform"},
        {"api_key": "ci"},
        {"stack": "production/network"},
    ]
    assert spec.expires == datetime(2030, 12, 31, 17, tzinfo=UTC)


def test_a_user_has_addresses_and_keys():
    spec = accepted("User", f"  emails: [ada@example.org]\n  signingKeys: [{ED25519} ada@laptop]\n")
    assert isinstance(spec, UserSpec)
    assert spec.emails == ("ada@example.org",)
    assert [(key.kind, key.algorithm) for key in spec.keys] == [(KeyKind.SSH, "ssh-ed25519")]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param("Role", "  actions: ['stack:update', '*:read', 'run:*', '*:*']\n", id="role"),
        pytest.param("RoleBinding", "  {role: reader, subjects: [{user: a}]}\n", id="binding"),
        pytest.param("User", "", id="user-of-nothing"),
        pytest.param("Group", "  {members: [alice, bob]}\n", id="group"),
        pytest.param("Group", "", id="empty-group"),
        pytest.param("ApiKey", "", id="api-key"),
    ],
)
def test_good_specs_are_accepted(kind, spec):
    assert isinstance(accepted(kind, spec), ACCESS_SPECS[Kind(kind)])


BIND = "  role: writer\n"


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        pytest.param("Role", "", [("missing-key", 0, 1)], id="role-without-actions"),
        pytest.param("Role", "  actions: []\n", [("invalid-value", 1, 12)], id="role-of-nothing"),
        pytest.param("Role", "  actions: ['stak:update', 'stack:updat', stack, '', 'stack:', ':read', '*']\n",
                     [("unknown-action", 1, n) for n in (13, 28, 43, 50, 54, 64, 73)], id="unknown-actions"),
        pytest.param("Role", "  actions: ['st*:read', 'stack:re*', 'stack:read,update', 'stack:read:x', 'Stack:read']\n",
                     [("unknown-action", 1, n) for n in (13, 25, 38, 59, 75)], id="half-wildcards"),
        pytest.param("Role", '  actions: ["stack:read\\n", "stack:read\\np, evil, *"]\n', [("unknown-action", 1, 13), ("unknown-action", 1, 29)], id="newline-actions"),
        pytest.param("Role", "  actions: ['*:confirm', 'space:trigger', 'tfstate:lock']\n", [("unknown-action", 1, 26), ("unknown-action", 1, 43)], id="verb-of-another-kind"),
        pytest.param("Role", "  actions: ['stack:read', 'stack:read']\n", [("duplicate-value", 1, 27)], id="action-twice"),
        pytest.param("Role", "  actions: [1, [a]]\n", [("wrong-type", 1, 13), ("wrong-type", 1, 16)], id="action-types"),
        pytest.param("Role", "  actions: ['*:read']\n  deny: []\n", [("unknown-key", 2, 3)], id="no-deny"),
        pytest.param("RoleBinding", BIND, [("missing-key", 0, 1)], id="nobody"),
        pytest.param("RoleBinding", BIND + "  subjects: []\n", [("invalid-value", 2, 13)], id="empty-subjects"),
        pytest.param("RoleBinding", "  role: '*'\n  subjects: [{user: a}]\n", [("invalid-name", 1, 9)], id="role-star"),
        pytest.param("RoleBinding", "  role: root/writer\n  subjects: [{user: a}]\n", [("invalid-name", 1, 9)], id="role-qualified"),
        pytest.param("RoleBinding", BIND + "  subjects: [{user: '*'}, {user: 'a,b'}, {group: \"a\\nb\"}, {apiKey: 'a '}]\n",
                     [("invalid-name", 2, n) for n in (21, 34, 50, 68)], id="subject-names"),
        pytest.param("RoleBinding", BIND + "  subjects: [{stack: a}, {stack: a/b/c}, {stack: '*/b'}, {stack: \"a/b\\n\"}]\n",
                     [("invalid-name", 2, n) for n in (22, 34, 50, 66)], id="stack-names"),
        pytest.param("RoleBinding", BIND + "  subjects: [{user: a, group: b}, {}, {user: }]\n",
                     [("invalid-subject", 2, 14), ("invalid-subject", 2, 35), ("invalid-value", 2, 39)], id="not-one-subject"),
        pytest.param("RoleBinding", BIND + "  subjects: [{usr: a}, alice]\n", [("unknown-key", 2, 15), ("wrong-type", 2, 24)], id="unknown-subject"),
        pytest.param("RoleBinding", BIND + "  subjects: [{user: a}, {user: a}]\n", [("duplicate-value", 2, 25)], id="subject-twice"),
        *(
            pytest.param("RoleBinding", BIND + f"  subjects: [{{user: a}}]\n  expires: {text}\n", [("invalid-time", 3, 12)], id=f"expires-{name}")
            for name, text in {
                "date": "2030-12-31", "no-zone": "2030-12-31T18:00:00", "impossible": "2030-02-30T00:00:00Z", "leap": "2030-12-31T23:59:60Z",
                "number": "1893456000", "word": "never", "newline": '"2030-12-31T18:00:00Z\\n"', "hour": "2030-12-31T24:00:00Z", "overflow": "0001-01-01T00:00:00+23:00",
            }.items()
        ),
        pytest.param("User", "  emails: [ada, 'a@b,c@d', '*@example.org', \"a@b\\n\", 'a b@c', 'é@x.org']\n",
                     [("invalid-email", 1, n) for n in (12, 17, 28, 45, 54, 63)], id="emails"),
        pytest.param("User", "  emails: [ada@example.org, ADA@example.org]\n", [("duplicate-value", 1, 29)], id="email-twice"),
        pytest.param("User", f"  signingKeys: ['{ED25519}', '{ED25519} other']\n", [("duplicate-value", 1, 101)], id="key-twice"),
        pytest.param("User", "  signingKeys: [x, 5]\n", [("invalid-signing-key", 1, 17), ("wrong-type", 1, 20)], id="not-a-key"),
        pytest.param("Group", "  members: ['*', 'a,b', \"a\\n\", A]\n", [("invalid-name", 1, n) for n in (13, 18, 25, 32)], id="members"),
        pytest.param("Group", "  members: [a, b, a]\n", [("duplicate-value", 1, 19)], id="member-twice"),
        pytest.param("Group", "  idpGroups: ['*', 'a,b', \"a\\nb\", '']\n", [("invalid-value", 1, n) for n in (15, 20, 27, 35)], id="idp-groups"),
        pytest.param("ApiKey", "  token: abc\n", [("unknown-key", 1, 3)], id="api-key-with-a-token"),
    ],
)  # fmt: skip
def test_everything_else_is_refused(kind, spec, expected):
    assert refused(kind, spec) == expected


@pytest.mark.parametrize("name", ["a\nb", "a,b", "*", "a\n", "A"])
@pytest.mark.parametrize("kind", ACCESS_SPECS)
def test_names_that_could_pass_for_more_are_refused(kind, name):
    text = f"apiVersion: stationkeeper/v1\nkind: {kind}\nmetadata:\n  name: {name!r}\n".replace("'", '"')
    parsed = parse_file("a.yaml", text.encode())
    assert parsed.resources == ()
    assert ("invalid-name", 4, 9) in [(d.code, d.position.line, d.position.column) for d in parsed.diagnostics]


def test_a_private_key_is_refused_without_repeating_it():
    lines = "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNzaC1rZXktdjEAAAA\\n-----END OPENSSH PRIVATE KEY-----"
    parsed = parse("User", f'  signingKeys: ["{lines}"]\n')
    [found] = parsed.diagnostics
    assert "private key" in found.summary
    assert "b3BlbnNz" not in str(found)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "neither", id="empty"),
        pytest.param("ssh-ed25519", "fit its type", id="only-type"),
        pytest.param("ssh-ed25519 AAAA!", "damaged", id="not-base64"),
        pytest.param(ED25519[:-8], "damaged", id="cut"),
        pytest.param("ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAAAAQE=", "fit its type", id="type-of-another"),
        pytest.param("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQE=", "size", id="small-rsa"),
        pytest.param("ssh-dss AAAA", "DSA", id="dsa"),
        pytest.param('valid-before="20300101" ' + ED25519, "options", id="options"),
        pytest.param("alice@example.org " + ED25519, "options", id="principals"),
        pytest.param("ssh-ed25519-cert-v01@openssh.com AAAA", "certificate", id="certificate"),
        pytest.param(ED25519 + "\n" + ED25519, "one line", id="two-lines"),
        pytest.param("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!\n-----END PGP PUBLIC KEY BLOCK-----", "damaged", id="pgp-damaged"),
        pytest.param("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----", "exactly one", id="pgp-empty"),
        pytest.param("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxgEE\n-----END PGP PUBLIC KEY BLOCK-----", "version", id="pgp-stub"),
        pytest.param("-----BEGIN PGP PUBLIC KEY BLOCK-----", "one armored", id="pgp-half"),
        pytest.param("x" * 300_000, "longer", id="long"),
    ],
)  # fmt: skip
def test_keys_that_are_refused(text, why):
    with pytest.raises(ValueError, match=why):
        parse_signing_key(text)


def test_fingerprints_are_those_of_ssh_keygen():
    assert parse_signing_key(ED25519 + " me").fingerprint == parse_signing_key("  " + ED25519 + "\n").fingerprint
    assert parse_signing_key(ED25519).fingerprint.startswith("SHA256:")


def test_addresses_are_compared_without_case_and_without_lookalikes():
    assert email_key("Ada@Example.ORG") == "ada@example.org"
    assert email_key("\u212aim@example.org") != "kim@example.org"


@pytest.mark.parametrize("text", ["2030-01-01T00:00:00Z", "2030-01-01t01:00:00.000+01:00", "2029-12-31T23:00:00z"])
def test_times(text):
    assert parse_time(text).tzinfo is UTC


def test_what_sets_them_apart():
    assert set(ACCESS_SPECS) - ROOT_ONLY == {Kind.ROLE_BINDING}
    assert RESERVED_NAMES[Kind.ROLE] == {"reader", "operator", "writer", "admin"}
    assert {noun(kind) for kind in Kind} <= set(VERBS)
    assert noun(Kind.CLOUD_INTEGRATION) == "integration"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("  oidc: {issuer: 'http://a.example', audience: a, subject: b}\n", [("invalid-url", 1, 18)]),
        ("  oidc: {issuer: 'https://a.example', audience: a, subject: '*:x'}\n", [("invalid-value", 1, 61)]),
        ("  oidc: {issuer: 'https://a.example'}\n", [("missing-key", 1, 3), ("missing-key", 1, 3)]),
    ],
)
def test_whose_tokens_open_an_api_key_is_said_well(spec, expected):
    assert refused("ApiKey", spec) == expected


def test_a_star_in_a_subject_stands_for_anything_and_nothing_else_does():
    trust = accepted("ApiKey", "  oidc: {issuer: 'https://a.example', audience: a, subject: 'r:a/b:[x]?*'}\n").oidc
    assert trust.means("r:a/b:[x]?main")
    assert not trust.means("r:a/b:xymain")
