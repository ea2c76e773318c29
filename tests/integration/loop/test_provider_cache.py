"""Providers are downloaded once and used by all stacks, from a registry that is a real one but for its address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.core.runs import RunStatus
from tests.e2e.station import Repo, document
from tests.integration.loop.machine import Machine
from tests.needs import need
from tests.tools.registry import PROVIDER, VERSION, Registry, running_registry

TOOLS = {"terraform": ("terraform",), "terragrunt": ("terragrunt", "tofu")}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    need("gpg", "bwrap")
    if not PROVIDER.exists():
        pytest.skip("terraform-provider-local is not built (make tools)")
    with running_registry(tmp_path / "registry") as registry:
        monkeypatch.setenv("SSL_CERT_FILE", str(registry.certificate))
        yield registry


def stack(tool: str, name: str, world: Path, registry: Registry, *, locked: bool) -> dict[str, str]:
    code = (
        f'terraform {{\n  required_providers {{\n    local = {{ source = "{registry.source}" }}\n  }}\n}}\n'
        f'resource "local_file" "it" {{\n  content  = "it"\n  filename = "{world}/{name}"\n}}\n'
    )
    files = {f"{name}/main.tf": code}
    if tool == "terragrunt":
        files[f"{name}/terragrunt.hcl"] = ""
    if locked:
        files[f"{name}/.terraform.lock.hcl"] = (
            f'provider "{registry.source}" {{\n  version = "{VERSION}"\n  hashes = [\n    "{registry.zip_hash}",\n  ]\n}}\n'
        )
    # No command of a run can put anything there for others.
    hooks = {"after": {"apply": ["ls -R /run/station/packages; ! touch /run/station/packages/it"]}}
    return {**files, f"{name}.yaml": document("Stack", name, {"tool": tool, "source": {"path": name}, "hooks": hooks})}


@pytest.mark.parametrize("tool", TOOLS)
def test_what_one_run_has_downloaded_others_use(
    tool: str, repo: Repo, new_machine: Callable[..., Machine], registry: Registry, tmp_path: Path
) -> None:
    need(*TOOLS[tool])
    machine = new_machine(repo.url, parallelism=3)
    repo.commit(stack(tool, "first", tmp_path, registry, locked=False))
    (run,) = machine.reconcile().runs
    assert run.status is RunStatus.FINISHED, machine.log(run)
    assert registry.downloads == 2, "once for the run, once for those to come"
    several = [stack(tool, name, tmp_path, registry, locked=True) for name in ("a", "b")]
    repo.commit({path: text for files in several for path, text in files.items()})
    runs = machine.reconcile().runs
    assert {run.status for run in runs} == {RunStatus.FINISHED}, [machine.log(run) for run in runs]
    assert (len(runs), registry.downloads) == (2, 2)
