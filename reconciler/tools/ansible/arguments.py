"""What a document adds to a command of ansible. Nothing secret is an argument: it goes by files that only last as long.

The files lie in a directory of their own, which is there while a command runs and not a moment longer.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.tools.ansible.settings import AnsibleConfig
from reconciler.tools.base import ToolJob
from reconciler.tools.files import fresh_directory, write_scratch

_DIRECTORY = "ansible-private"


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a command gets beside the playbook."""

    flags: tuple[str, ...]
    env: Mapping[str, str]


@contextmanager
def arguments(job: ToolJob, config: AnsibleConfig) -> Iterator[Arguments]:
    """Give the arguments, and the files that they name for as long as this lasts."""
    top = fresh_directory(job.scratch / _DIRECTORY)
    try:
        flags = (*_inventories(job, top), *_choices(job), *_variables(job, top), *_vaults(job, top), *_key(job, top))
        yield Arguments(flags, _ssh(job, config, top))
    finally:
        shutil.rmtree(top, ignore_errors=True)


def _inventories(job: ToolJob, top: Path) -> Iterator[str]:
    found = job.options.get("inventory")
    for number, each in enumerate(found if isinstance(found, list) else () if found is None else (found,)):
        if isinstance(each, str):
            yield f"--inventory={each}"
        else:
            # Without a suffix, so that ansible tries both YAML and INI.
            yield f"--inventory={_written(top / f'inventory-{number}', each['text'])}"


def _choices(job: ToolJob) -> Iterator[str]:
    if limit := job.options.get("limit"):
        yield f"--limit={limit}"
    for flag, key in (("--tags", "tags"), ("--skip-tags", "skipTags")):
        if tags := job.options.get(key):
            yield f"{flag}={','.join(tags)}"
    if forks := job.options.get("forks"):
        yield f"--forks={forks}"


def _variables(job: ToolJob, top: Path) -> Iterator[str]:
    variables: Mapping[str, Any] = job.options.get("extraVars") or {}
    if variables:
        opened = {name: job.secrets.get(f"extraVars.{name}", value) for name, value in variables.items()}
        yield f"--extra-vars=@{_written(top / 'variables.json', json.dumps(opened))}"


def _vaults(job: ToolJob, top: Path) -> Iterator[str]:
    for number, vault in enumerate(job.options.get("vaultPasswords") or ()):
        # Not executable: a program would be run for the password.
        yield f"--vault-id={vault}@{_written(top / f'vault-{number}', job.secrets[f'vaultPasswords.{vault}'])}"


def _key(job: ToolJob, top: Path) -> Iterator[str]:
    if "privateKey" in job.options:
        # ssh reads no key whose last line has no end.
        yield f"--private-key={_written(top / 'key', job.secrets['privateKey'].rstrip() + chr(10))}"


def _ssh(job: ToolJob, config: AnsibleConfig, top: Path) -> Mapping[str, str]:
    """Return the host keys to trust, beside the arguments for ssh that documents or the source have set."""
    if "knownHosts" not in job.options:
        return {}
    file = _written(top / "known_hosts", job.options["knownHosts"])
    own = config.text("ANSIBLE_SSH_COMMON_ARGS", "ssh_connection", "ssh_common_args") or ""
    ours = shlex.join(("-o", f'UserKnownHostsFile="{file}"'))
    return {"ANSIBLE_SSH_COMMON_ARGS": f"{own} {ours}".strip()}


def _written(path: Path, text: str) -> Path:
    write_scratch(path, text.encode())
    return path
