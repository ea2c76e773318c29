from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.sealing import SealingKeys, seal
from reconciler.credentials.secrets import SecretSources
from spaces.model.sealed import SealedPlace
from spaces.model.secrets import SecretRef
from spaces.names import Kind, SpaceName, SpacePath

VALUE = "hunter2-hunter2"
PLACE = SealedPlace.of(Kind.CONTEXT, SpaceName("platform"), "common", "TOKEN")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "secrets" / "platform").mkdir(parents=True)
    (tmp_path / "secrets" / "other").mkdir()
    return tmp_path / "secrets"


def put(path: Path, text: str | bytes = VALUE, mode: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def told(secrets: SecretSources, **secret: str) -> str:
    ref = SecretRef.model_construct(**{"file": None, "env": None, "sealed": None, **secret})
    with pytest.raises(SecretUnreadable) as caught:
        secrets.for_run(ref, PLACE)
    assert secrets.problem(ref, PLACE) == str(caught.value)
    assert VALUE not in str(caught.value)
    return str(caught.value)


def test_a_file_is_read_in_the_directory_of_its_space(directory: Path) -> None:
    put(directory / "platform" / "token")
    put(directory / "other" / "token", "another-secret")
    put(directory / "top", "another-secret")
    secrets = SecretSources(directory=directory)
    assert secrets.for_run(SecretRef(file="token"), PLACE) == VALUE
    assert secrets.problem(SecretRef(file="token"), PLACE) is None
    assert "cannot be read: No such file" in told(secrets, file="top")


@pytest.mark.parametrize("where", ["beside", "two deep"])
def test_links_are_followed_inside_of_the_directory(directory: Path, where: str) -> None:
    """As volumes of Kubernetes make them."""
    (directory / "platform" / "..data").mkdir()
    put(directory / "platform" / "..data" / "token")
    target = "..data/token" if where == "beside" else "middle"
    (directory / "platform" / "middle").symlink_to("..data/token")
    (directory / "platform" / "token").symlink_to(target)
    assert SecretSources(directory=directory).for_run(SecretRef(file="token"), PLACE) == VALUE


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        pytest.param(lambda path: None, "cannot be read: No such file", id="missing"),
        pytest.param(lambda path: put(path, mode=0o604), "can be read by everybody", id="world-readable"),
        pytest.param(lambda path: put(path, mode=0o602), "can be read by everybody", id="world-writable"),
        pytest.param(lambda path: put(path, mode=0o620), "can be written by its group", id="group-writable"),
        pytest.param(lambda path: path.mkdir(), "is not a regular file", id="directory"),
        pytest.param(os.mkfifo, "is not a regular file", id="pipe"),
        pytest.param(lambda path: path.symlink_to("../other/token"), "leads out of its directory", id="link out"),
        pytest.param(lambda path: path.symlink_to("/etc/passwd"), "leads out of its directory", id="link far out"),
        pytest.param(lambda path: path.symlink_to("token"), "cannot be read", id="link to itself"),
        pytest.param(lambda path: put(path, b"\xff" * 20), "is not UTF-8 text", id="no text"),
        pytest.param(lambda path: put(path, b"x" * 70_000), "is larger than 64 KiB", id="huge"),
        pytest.param(lambda path: put(path, "short12\n"), "shorter than 8 characters", id="too short"),
        pytest.param(lambda path: put(path, ""), "shorter than 8 characters", id="empty"),
        pytest.param(lambda path: put(path, "with\0nul-inside"), "contains a NUL", id="nul"),
    ],
)
def test_a_bad_file_is_told_by_its_name(directory: Path, prepare, words: str) -> None:
    put(directory / "other" / "token")
    prepare(directory / "platform" / "token")
    message = told(SecretSources(directory=directory), file="token")
    assert message.startswith("TOKEN of Context platform/common, secret file token: ")
    assert words in message


def test_a_variable_is_read_only_where_the_settings_allow_it() -> None:
    environ = {"TOKEN": VALUE, "OTHER": VALUE}
    secrets = SecretSources(env_allowed=("TOKEN", "GONE"), environ=environ)
    assert secrets.for_run(SecretRef(env="TOKEN"), PLACE) == VALUE
    assert "the variable OTHER is not in the setting env_allowed" in told(secrets, env="OTHER")
    assert "the variable GONE is not set for the service" in told(secrets, env="GONE")


def test_a_sealed_value_opens_with_the_key_only(tmp_path: Path) -> None:
    keys = SealingKeys.load_or_create(tmp_path / "keys")
    sealed = seal(VALUE, PLACE, keys.recipient)
    assert SecretSources(keys).for_run(SecretRef(sealed=sealed), PLACE) == VALUE
    assert "no key for sealed values" in told(SecretSources(), sealed=sealed)
    short = seal("short12", PLACE, keys.recipient)
    assert "shorter than 8 characters" in told(SecretSources(keys), sealed=short)


NESTED = SealedPlace.of(Kind.CONTEXT, "team/platform", "common", "TOKEN")


@pytest.mark.parametrize("counts", [True, False])
def test_what_was_kept_by_the_name_of_a_space_counts_where_the_space_was_then(
    *, directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, counts: bool
) -> None:
    keys = SealingKeys.load_or_create(tmp_path / "keys")
    put(directory / "platform" / "token")
    by_name = (NESTED.path,) if counts else (SpacePath("elsewhere/platform"),)
    secrets = SecretSources(keys, directory, by_name=lambda: by_name)
    for ref in (SecretRef(file="token"), SecretRef(sealed=seal(VALUE, PLACE, keys.recipient))):
        if counts:
            assert [secrets.for_run(ref, NESTED) for _ in range(2)] == [VALUE, VALUE]
        else:
            with pytest.raises(SecretUnreadable, match=r"No such file|when that space was elsewhere"):
                secrets.for_run(ref, NESTED)
    moves = f"are read from {directory}/platform, as earlier versions did: move them to {directory}/team/platform"
    assert [moves in message for message in caplog.messages] == [True] * counts
    # What lies in the directory of the path goes first, and opens without any memory of earlier versions.
    (directory / "team" / "platform").mkdir(parents=True)
    put(directory / "team" / "platform" / "token", "of-the-path")
    assert secrets.for_run(SecretRef(file="token"), NESTED) == "of-the-path"


def test_without_a_directory_there_are_no_files() -> None:
    assert "needs the setting secrets_dir" in told(SecretSources(), file="token")
