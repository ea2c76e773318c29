"""What hooks say through files: variables, values to mask, and facts."""

from __future__ import annotations

import os

import pytest

from reconciler.masking.masker import Masker
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.leg.hook_files import HookFiles, read_variables
from reconciler.tools.base import StepFailed

KEY = "1b" * 32


@pytest.fixture(name="directory")
def _directory(tmp_path):
    made = RunDirectory(tmp_path)
    made.make()
    return made


def _files(directory, *, carry=False):
    files = HookFiles(directory, Masker(()), KEY)
    files.prepare(carry=carry)
    return files


def test_variables_are_lines_without_quotes():
    data = b"A=1\n\nTF_VAR_my-list=[\"a\"]\r\nB= 'x' = y\nA=2"
    assert read_variables(data) == {"A": "2", "TF_VAR_my-list": '["a"]', "B": " 'x' = y"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"A=1\nexport B=2", "line 2 of $STATION_ENV is not NAME=value", id="export"),
        pytest.param(b"s3cr3t-value", "line 1 of $STATION_ENV is not NAME=value", id="no pair"),
        pytest.param(b"A=1\nB=\xff", "line 2 of $STATION_ENV is not UTF-8 text", id="not text"),
        pytest.param(b"A=\0", "line 1 of $STATION_ENV contains a NUL character", id="NUL"),
        pytest.param(b"A=" + b"x" * 100_001, "line 1 of $STATION_ENV is longer than 100000 bytes", id="long"),
        pytest.param(b"STATION_PERSON=user:x", "sets STATION_PERSON, which only the service sets", id="ours"),
        pytest.param(b"HOME=/", "sets HOME, which only the service sets", id="home"),
        pytest.param(b"PATH=/", "sets PATH, which takes over a process: the hook's document must", id="takes over"),
        pytest.param(b"LD_PRELOAD=/x.so", "sets LD_PRELOAD, which no hook may set", id="loader"),
    ],
)
def test_what_a_hook_may_not_set_is_refused_without_its_value(data, message):
    with pytest.raises(StepFailed) as refused:
        read_variables(data, may_set=["GIT_DIR", "LD_PRELOAD", "STATION_PERSON"])
    assert message in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_what_the_document_may_set_its_hooks_may():
    assert read_variables(b"PATH=/opt", may_set=["PATH"]) == {"PATH": "/opt"}


def test_each_hook_has_a_file_of_its_own_and_the_next_leg_gets_all(directory):
    files = _files(directory)
    for line in ("A=1", "A=2\nB=3"):
        files.begin_hook()
        assert directory.variables.read_bytes() == b""
        directory.variables.write_text(line)
        files.take_variables(())
    directory.masks.write_text("hush-hush-1\nshort\n\n  hush-hush-2  \n")
    files.heed_masks()
    assert files.short == 1
    files.save()
    files.clear()
    assert not any(b"hush" in path.read_bytes() for path in directory.root.rglob("*") if path.is_file())
    masker = Masker(())
    later = HookFiles(directory, masker, KEY)
    later.prepare(carry=True)
    assert later.variables == {"A": "2", "B": "3"}
    assert masker.text("hush-hush-1 short hush-hush-2") == "*** short ***"
    assert directory.carried.stat().st_mode & 0o777 == 0o600
    assert b"hush" not in directory.carried.read_bytes()
    with pytest.raises(StepFailed, match="does not open"):
        HookFiles(directory, masker, "2c" * 32).prepare(carry=True)
    directory.free()
    assert not directory.carried.exists()


def test_an_attempt_that_says_nothing_leaves_nothing_of_the_one_before(directory):
    files = _files(directory)
    files.variables["A"] = "1"
    files.save()
    _files(directory).save()
    assert _files(directory, carry=True).variables == {}


def test_facts_are_masked_json(directory):
    files = _files(directory)
    (directory.facts / "cost.json").write_text('{"monthly": 12.5, "note": "hush-hush-1"}')
    directory.masks.write_text("hush-hush-1")
    files.heed_masks()
    assert files.read_facts() == {"cost": {"monthly": 12.5, "note": "***"}}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("cost.json", b"{", "the fact cost ($STATION_FACTS/cost.json) is not JSON", id="not JSON"),
        pytest.param("cost.json", b"", "is not JSON", id="empty"),
        pytest.param("cost.json", b'"' + b"x" * 256 * 1024 + b'"', "cost.json is larger than 256 KiB", id="large"),
        pytest.param("cost.json", b"[" * 200 + b"]" * 200, "nested more than 100 levels", id="deep"),
        pytest.param("cost.txt", b"{}", "holds 'cost.txt', which is not the NAME.json of a fact", id="name"),
    ],
)
def test_what_is_no_fact_is_refused(directory, name, content, message):
    files = _files(directory)
    (directory.facts / name).write_bytes(content)
    with pytest.raises(StepFailed) as refused:
        files.read_facts()
    assert message in str(refused.value)


def test_nothing_is_read_through_links(directory, tmp_path):
    files = _files(directory)
    secret = tmp_path / "secret.json"
    secret.write_text('{"a": 1}')
    (directory.facts / "x.json").symlink_to(secret)
    with pytest.raises(StepFailed, match=r"x\.json cannot be read"):
        files.read_facts()
    (directory.facts / "x.json").unlink()
    directory.facts.rmdir()
    directory.facts.symlink_to(tmp_path)
    with pytest.raises(StepFailed, match="STATION_FACTS cannot be read"):
        files.read_facts()
    directory.masks.unlink()
    os.mkfifo(directory.masks)
    files.hear()
    with pytest.raises(StepFailed, match="not a regular file"):
        files.heed_masks()


def test_of_too_many_values_the_first_are_masked(directory):
    masker = Masker(())
    files = HookFiles(directory, masker, KEY)
    files.prepare(carry=False)
    directory.masks.write_text("".join(f"hush-hush-{number:04}\n" for number in range(1001)))
    for _ in range(2):
        with pytest.raises(StepFailed, match="names more than 1000 values"):
            files.heed_masks()
    assert masker.text("hush-hush-0999") == "***"
