from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.tools.base import SharedPackages, ToolJob
from reconciler.tools.terraform import provider_cache
from reconciler.tools.terraform.locks import LockedProvider, locked

AWS = "registry.terraform.io/hashicorp/aws"


def lock(source: str, version: str) -> str:
    return f'provider "{source}" {{\n  version     = "{version}"\n  constraints = "~> 1.0"\n  hashes = [\n    "h1:x",\n  ]\n}}\n'


@pytest.fixture
def job(tmp_path: Path) -> ToolJob:
    for name in ("work", "scratch", "home", "kept"):
        (tmp_path / name).mkdir()
    shared = SharedPackages(tmp_path / "kept", tmp_path / "view", Path("/seen"), tmp_path / "home", 1 << 20)
    return ToolJob(
        "/bin/terraform", tmp_path / "work", tmp_path / "scratch", {}, cache=tmp_path / "cache", shared=shared
    )


def have(job: ToolJob, source: str, version: str) -> Path:
    assert job.shared is not None
    file = provider_cache._file(job.shared.kept / "terraform", LockedProvider(source, version))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"zip")
    return file


def seen(job: ToolJob) -> set[str]:
    assert job.shared is not None
    return {file.name.split("_linux")[0] for file in job.shared.view.rglob("*.zip")}


def test_a_run_sees_what_its_lock_file_names(job: ToolJob) -> None:
    for version in ("1.0.0", "1.1.0"):
        have(job, AWS, version)
    have(job, "registry.terraform.io/hashicorp/google", "2.0.0")
    (job.directory / ".terraform.lock.hcl").write_text(lock(AWS, "1.1.0") + lock("example.com/other/one", "3.0.0"))
    provider_cache.offer(job, "terraform")
    assert seen(job) == {"terraform-provider-aws_1.1.0"}
    assert f'include = ["{AWS}"]' in provider_cache.settings(job)
    assert f'exclude = ["{AWS}"]' in provider_cache.settings(job)


def test_without_a_lock_file_it_asks_for_newer_versions(job: ToolJob) -> None:
    have(job, AWS, "1.0.0")
    provider_cache.offer(job, "terraform")
    assert provider_cache.settings(job) == ""
    provider_cache._note(job, [LockedProvider(AWS, "1.0.0")])
    provider_cache.offer(job, "terraform")
    assert seen(job) == {"terraform-provider-aws_1.0.0"}
    assert "clude" not in provider_cache.settings(job)


@pytest.mark.parametrize("what", ["mirror", "variable", "source", "home"])
def test_what_says_otherwise_where_providers_come_from_holds(job: ToolJob, what: str) -> None:
    have(job, AWS, "1.0.0")
    (job.directory / ".terraform.lock.hcl").write_text(lock(AWS, "1.0.0"))
    match what:
        case "mirror":
            job = replace(job, cli_config="provider_installation {\n  direct {}\n}\n")
        case "variable":
            job = replace(job, env={"XDG_DATA_DIRS": "/opt/share"})
        case "source":
            (job.directory / "terraform.d" / "plugins").mkdir(parents=True)
        case "home":
            (job.scratch.parent / "home" / ".terraform.d" / "plugins").mkdir(parents=True)
    provider_cache.offer(job, "terraform")
    assert provider_cache.settings(job) == ""


@pytest.mark.parametrize(
    "text",
    [
        lock("../../../etc/passwd/x", "1"),
        lock(AWS, "../1"),
        lock("a/b", "1.0.0"),
        lock(f"{AWS}\\n}}", "1"),
        "provider {",
    ],
)
def test_a_lock_file_names_nothing_but_providers(tmp_path: Path, text: str) -> None:
    (tmp_path / ".terraform.lock.hcl").write_text(text)
    assert locked(tmp_path) == frozenset()


def test_what_was_used_longest_ago_goes_first(job: ToolJob) -> None:
    files = [have(job, AWS, f"1.{at}.0") for at in range(3)]
    for age, file in zip((300, 100, 200), files, strict=True):
        now = file.stat().st_mtime
        os.utime(file, (now - age, now - age))
    assert job.shared is not None
    provider_cache._make_room(job.shared.kept, limit=3)
    assert [file.exists() for file in files] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('provider_installation {\n  filesystem_mirror {\n    path = "/m"\n  }\n}\n', True),
        ('provider_installation {\n  network_mirror {\n    url = "https://m"\n  }\n}\n', False),
        ("", False),
    ],
)
def test_a_mirror_on_this_machine_is_known(text: str, *, expected: bool) -> None:
    assert provider_cache.names_a_mirror(text) is expected
