"""SOPS files open with the age keys of the space that names them, and with no other."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.secrets import SecretSources
from reconciler.credentials.sops import SopsFiles
from spaces.documents.secrets import SopsSecret
from spaces.model.sealed import SealedPlace
from spaces.names import Kind
from spaces.reading.sops import sops_flaw
from tests.tools.encrypting import age_key, encrypted

HERE = SealedPlace.of(Kind.STACK, "platform/shop", "a", "TOKEN")
ELSEWHERE = SealedPlace.of(Kind.STACK, "other/shop", "a", "TOKEN")
TEXT = """\
database:
  password: hunter2-hunter2
  port: 54321876
  short: x
list:
    - first-of-the-list
tls.crt: a-certificate
"""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def sources(keys: Path, path: str = os.environ["PATH"]) -> SecretSources:
    return SecretSources(sops=SopsFiles(keys, path))


@pytest.mark.parametrize(
    ("form", "path", "text", "wanted"),
    [
        ("yaml", "a.yaml", TEXT, {"database/password": "hunter2-hunter2", "database/port": "54321876"}),
        ("yaml", "a.yml", TEXT, {"list/0": "first-of-the-list", "tls.crt": "a-certificate", "": TEXT}),
        ("json", "a.json", '{"a": {"b": "hunter2-hunter2"}}', {"a/b": "hunter2-hunter2"}),
        ("dotenv", "prod.env", "TOKEN=hunter2-hunter2\n", {"TOKEN": "hunter2-hunter2"}),
        ("binary", "kubeconfig", "line one\nline two\n", {"": "line one\nline two\n"}),
    ],
)
def test_every_form_that_sops_has(keys: Path, form: str, path: str, text: str, wanted: dict[str, str]) -> None:
    data = encrypted(text, age_key(keys / "platform/shop/keys.txt"), form=form).encode()
    opened: dict[str, object] = {}
    for name, value in wanted.items():
        secret = SopsSecret(path, name, data)
        assert sops_flaw(path, data, name) is None
        assert sources(keys).problem(secret, HERE) is None
        got = sources(keys).for_run(secret, HERE, opened=opened)
        assert re.sub(r"\s+", " ", got) == re.sub(r"\s+", " ", value)
    assert "hunter2" not in repr(SopsSecret(path, "x", data))


def told(keys: Path, secret: SopsSecret, place: SealedPlace = HERE) -> str:
    problem = sources(keys).problem(secret, place)
    with pytest.raises(SecretUnreadable) as caught:
        sources(keys).for_run(secret, place)
    assert problem == str(caught.value)
    return problem


def test_a_copy_opens_nothing_in_another_space(keys: Path) -> None:
    data = encrypted(TEXT, age_key(keys / "platform/shop/keys.txt")).encode()
    secret = SopsSecret("a.yaml", "database/password", data)
    assert told(keys, secret, ELSEWHERE).endswith(
        "the file keys.txt with the age keys of shop cannot be read: No such file or directory"
    )
    age_key(keys / "other/shop/keys.txt")
    assert "encrypted to none of the age keys of shop" in told(keys, secret, ELSEWHERE)
    assert sources(keys).problem(secret, HERE) is None


def test_what_cannot_be_opened_says_why(keys: Path, tmp_path: Path) -> None:
    data = encrypted(TEXT, age_key(keys / "platform/shop/keys.txt")).encode()
    assert "shorter than 8 characters" in told(keys, SopsSecret("a.yaml", "database/short", data))
    forged = re.sub(rb" *port: ENC.*\n", b"", data)
    assert forged != data
    assert "changed without sops" in told(keys, SopsSecret("a.yaml", "database/password", forged))
    secret = SopsSecret("a.yaml", "database/password", data)
    assert "not installed" in str(sources(keys, str(tmp_path)).problem(secret, HERE))
    assert "needs the setting sops_keys_dir" in str(SecretSources().problem(secret, HERE))
    (keys / "platform/shop/keys.txt").write_text("AGE-SECRET-KEY-1nonsense\n")
    assert "a line that is no age key" in told(keys, secret)
    (keys / "platform/shop/keys.txt").chmod(0o644)
    assert "can be read by everybody" in told(keys, secret)


def test_sops_asks_nobody_whom_the_file_names(keys: Path, tmp_path: Path) -> None:
    """Whoever may write a file could otherwise let the service speak to machines of its own network."""
    data = encrypted(TEXT, age_key(tmp_path / "stranger"))
    vault = 'hc_vault:\n        - {vault_address: "http://127.0.0.1:9", engine_path: a, key_name: b, enc: c}\n    '
    age_key(keys / "platform/shop/keys.txt")
    secret = SopsSecret("a.yaml", "database/password", data.replace("age:", vault + "age:").encode())
    assert "encrypted to none of the age keys" in told(keys, secret)


@pytest.mark.parametrize(
    ("path", "text", "keys", "wrong"),
    [
        ("a.yaml", "password: in the clear\n", "password", "is not encrypted by sops to an age key"),
        ("a.yaml", "sops: {key_groups: [{age: []}], age: [{enc: x}]}\n", "a", "is not encrypted by sops to an age key"),
        ("a.yaml", "[" * 5000, "a", "is not encrypted by sops to an age key"),
        ("a.json", "[" * 100_000, "a", "is not encrypted by sops to an age key"),
        ("a.yaml", "a: {pass: x}\nsops: {age: [{enc: x}]}\n", "a/pas", "has no key pas: did you mean pass?"),
        ("a.yaml", "a: {pass: x}\nsops: {age: [{enc: x}]}\n", "a", "has more than one value at a"),
        ("a.yaml", "a: x\nsops: {age: [{enc: x}]}\n", "sops/age", "has no key sops"),
        (
            "a.bin",
            '{"data": "x", "sops": {"age": [{"enc": "x"}]}}',
            "data",
            "has no keys: leave out # and what follows",
        ),
    ],
)
def test_what_a_file_does_not_have_is_told_without_opening_it(path: str, text: str, keys: str, wrong: str) -> None:
    assert sops_flaw(path, text.encode(), keys) == wrong
