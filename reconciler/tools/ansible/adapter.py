"""Ansible: a playbook in check mode is the plan, the same playbook for real is the apply.

There is no saved plan: what binds an apply is the source directory and a digest of the check run's events. A task that
check mode leaves out (a command, a module without check mode) counts as a change that cannot be foreseen, so that
a playbook of commands is not taken for one without anything to do. Ansible keeps no record of what exists: what is
listed as resources is what each task of the last run did on each host. What `no_log` hides is never written down; any
other diff is what ansible shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from reconciler.core.results import Applied, Planned
from reconciler.tools.ansible.arguments import arguments
from reconciler.tools.ansible.events import Events, applied, failure, parse, planned
from reconciler.tools.ansible.requirements import install, search_path
from reconciler.tools.ansible.settings import AnsibleConfig, ansible_config
from reconciler.tools.base import Abilities, Do, References, SourceReader, StepFailed, ToolJob
from reconciler.tools.files import fresh_directory, read_result, remove, write_scratch

_PLUGIN = Path(__file__).parent / "callback" / "station_json.py"
_PLUGINS = ("~/.ansible/plugins/callback", "/usr/share/ansible/plugins/callback")
_VERSION = re.compile(r"^ansible-playbook \[core ([^\]\s]+)\]", re.MULTILINE)


class Ansible:
    """Runs `ansible-playbook`."""

    name = "ansible"
    binaries: tuple[str, ...] = ("ansible-playbook",)
    abilities = Abilities(plans_drift=True, managed_tfstate=False)

    def version_command(self, binary: str) -> Sequence[str] | None:
        """Return the command whose first line names the version of ansible-core."""
        return (binary, "--version")

    def read_version(self, printed: str) -> str:
        """Return the version of ansible-core; ValueError if there is none."""
        found = _VERSION.search(printed)
        if found is None:
            raise ValueError("no line that says 'ansible-playbook [core …]'")
        return found.group(1)

    def references(self, reader: SourceReader, path: str) -> References:  # noqa: ARG002 - the protocol's signature
        """Find nothing: where roles come from depends on settings; `include` names those outside the path."""
        return References()

    def init(self, job: ToolJob, do: Do) -> None:
        """Install the collections and roles that the document's `requirements` name."""
        install(job, do, ansible_config(job))

    def plan(self, job: ToolJob, do: Do) -> Planned:
        """Run the playbook in check mode and return what it would change."""
        if job.destroy:
            raise StepFailed("ansible cannot destroy: write a playbook that removes what this one made")
        data, events = _run(job, do, "--check", "--diff")
        # A digest, because the differences may hold what nobody has masked yet.
        write_scratch(_checked(job), blake2b(data).hexdigest().encode())
        return planned(events, foreseen_only=job.check)

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Run the playbook, and return what each task did. The runner itself reads the outputs file."""
        return applied(_run(job, do)[1])

    def environment(self, job: ToolJob) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: the documents' own variables are all that its commands need."""
        return {}

    def plan_files(self, job: ToolJob) -> Sequence[Path]:
        """Name the file with the digest of the check run's events."""
        return (_checked(job),)


def _checked(job: ToolJob) -> Path:
    return job.scratch / "checked"


def _run(job: ToolJob, do: Do, *flags: str) -> tuple[bytes, Events]:
    """Run the playbook and return the events that our callback wrote, as written and as read.

    StepFailed says where it failed.
    """
    playbook = job.options.get("playbook")
    if not isinstance(playbook, str):
        raise StepFailed("the stack has no ansible.playbook")
    file = job.scratch / "ansible-events.jsonl"
    remove(file)
    config = ansible_config(job)
    env = {**config.environment(), **search_path(job, config), **_callback(job, config, file)}
    try:
        with arguments(job, config) as added:
            do((job.binary, *flags, *added.flags, "--", playbook), env={**env, **added.env})
        data = read_result(file) or b""
    except StepFailed as failed:
        blamed = failure(parse(read_result(file) or b""))
        if blamed is None:
            raise
        message = f"in check mode, {blamed.message}" if flags else blamed.message
        raise StepFailed(message, failed.code, "HostUnreachable" if blamed.unreachable else None) from None
    finally:
        remove(file)
    events = parse(data)
    if not events.hosts:
        raise StepFailed("the playbook ran on no host: none in the inventory matches its plays")
    return data, events


def _callback(job: ToolJob, config: AnsibleConfig, events: Path) -> Mapping[str, str]:
    """Have ansible load our callback plugin beside those that it loads without us."""
    plugins = fresh_directory(job.scratch / "ansible-callback")
    # A copy, because this package may lie where the sandbox shows nothing.
    write_scratch(plugins / _PLUGIN.name, _PLUGIN.read_bytes())
    others = config.paths(("ANSIBLE_CALLBACK_PLUGINS",), ("callback_plugins",), _PLUGINS)
    return {
        "STATION_ANSIBLE_EVENTS": str(events),
        "ANSIBLE_CALLBACK_PLUGINS": ":".join([str(plugins), *others]),
    }
