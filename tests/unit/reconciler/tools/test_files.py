from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.files import (
    parse_json,
    read_json,
    read_result,
    remove_beside_source,
    write_beside_source,
    write_scratch,
)


@pytest.fixture
def job(tmp_path: Path) -> ToolJob:
    (tmp_path / "work" / "live").mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    return ToolJob("", tmp_path / "work" / "live", tmp_path / "scratch", {})


def test_a_file_is_read_and_a_missing_one_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b'{"a": 1}')
    assert (read_result(tmp_path / "a"), read_json(tmp_path / "a")) == (b'{"a": 1}', {"a": 1})
    assert (read_result(tmp_path / "b"), read_json(tmp_path / "b")) == (None, None)


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "large"])
def test_what_the_tool_may_have_planted_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "result"
    match kind:
        case "link":
            (tmp_path / "secret").write_text("x")
            place.symlink_to(tmp_path / "secret")
        case "pipe":
            os.mkfifo(place)
        case "directory":
            place.mkdir()
        case "large":
            place.write_bytes(b"x" * 11)
    with pytest.raises(StepFailed, match="result"):
        read_result(place, limit=10)


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 100_000], ids=["cut", "not text", "deep"])
def test_json_that_is_none_is_refused_without_its_content(data: bytes) -> None:
    with pytest.raises(StepFailed, match=r"^the thing is not JSON"):
        parse_json(data, "the thing")


def test_scratch_files_are_private_and_replace_links(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("untouched")
    (tmp_path / "file").symlink_to(tmp_path / "other")
    write_scratch(tmp_path / "file", b"new")
    assert (tmp_path / "other").read_text() == "untouched"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_file_lands_beside_the_source(job: ToolJob) -> None:
    write_beside_source(job, "x.tf", b"one")
    write_beside_source(job, "x.tf", b"two")
    assert (job.directory / "x.tf").read_bytes() == b"two"
    remove_beside_source(job, "x.tf")
    remove_beside_source(job, "x.tf")
    assert list(job.directory.iterdir()) == []


def test_a_directory_beside_the_source_is_removed_and_a_link_is_not_followed(job: ToolJob, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (job.directory / "d" / "e").mkdir(parents=True)
    (job.directory / "link").symlink_to(tmp_path / "kept")
    remove_beside_source(job, "d")
    remove_beside_source(job, "link")
    assert list(job.directory.iterdir()) == []
    assert (tmp_path / "kept" / "file").exists()


def test_a_directory_that_became_a_link_is_not_entered(job: ToolJob, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    job.directory.rmdir()
    job.directory.symlink_to(tmp_path / "outside")
    with pytest.raises(StepFailed, match="live in the work directory cannot be entered"):
        write_beside_source(job, "x.tf", b"one")
    assert list((tmp_path / "outside").iterdir()) == []


def test_what_a_hook_sets_wins_over_documents_and_outputs_of_other_stacks(tmp_path: Path) -> None:
    job = ToolJob("", tmp_path, tmp_path, {}, env={"A": "1", "TF_VAR_x": "text"}, inputs={"TF_VAR_x": [1], "B": 2})
    changed = job.with_variables({"TF_VAR_x": "by a hook", "C": "3"})
    assert changed.env == {"A": "1", "TF_VAR_x": "by a hook", "C": "3"}
    assert changed.inputs == {"B": 2}
