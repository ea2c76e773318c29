"""Ansible: a playbook in check mode is the plan, the same playbook for real is the apply.

There is no saved plan: what binds an apply is the source directory and the events of the check run. A task that
check mode leaves out (a command, a module without check mode) counts as a change that cannot be foreseen, so that
a playbook of commands is not taken for one without anything to do. Ansible keeps no record of what exists, so
resources cannot be listed. What `no_log` hides is never written down; any other diff is what ansible shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.core.results import Applied, Planned
from reconciler.tools.ansible_events import Events, failure, parse, planned
from reconciler.tools.base import Do, References, SourceReader, StepFailed, ToolJob
from reconciler.tools.files import read_result, remove, write_scratch

_PLUGIN = Path(__file__).parent / "ansible_callback" / "station_json.py"
_VERSION = re.compile(r"^ansible-playbook \[core ([^\]\s]+)\]", re.MULTILINE)


class Ansible:
    """Runs `ansible-playbook`."""

    name = "ansible"
    binaries: tuple[str, ...] = ("ansible-playbook",)
    uses_tfstate = False

    def version_command(self, binary: str) -> Sequence[str] | None:
        """Give the command whose first line names the version of ansible-core."""
        return (binary, "--version")

    def read_version(self, printed: str) -> str:
        """Pick the version of ansible-core out; ValueError if there is none."""
        found = _VERSION.search(printed)
        if found is None:
            raise ValueError("no line that says 'ansible-playbook [core …]'")
        return found.group(1)

    def references(self, reader: SourceReader, path: str) -> References:  # noqa: ARG002 - the protocol's signature
        """Find nothing: where roles come from depends on settings; `include` names those outside the path."""
        return References()

    def init(self, job: ToolJob, do: Do) -> None:
        """Do nothing: a playbook that cannot be read fails the plan."""

    def plan(self, job: ToolJob, do: Do) -> Planned:
        """Run the playbook in check mode and give what it would change."""
        events = _run(job, do, _checked(job), "--check", "--diff")
        return planned(events)

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Run the playbook. Outputs come from the outputs file, which the runner reads."""
        _run(job, do, job.scratch / "applied.jsonl")
        return Applied()

    def plan_files(self, job: ToolJob) -> Sequence[Path]:
        """Name the events of the check run."""
        return (_checked(job),)


def tool(name: str) -> Ansible:  # noqa: ARG001 - every adapter module has this function
    """Give the adapter."""
    return Ansible()


def _checked(job: ToolJob) -> Path:
    return job.scratch / "checked.jsonl"


def _run(job: ToolJob, do: Do, file: Path, *flags: str) -> Events:
    playbook, inventory = job.options.get("playbook"), job.options.get("inventory")
    if not isinstance(playbook, str):
        raise StepFailed("the stack has no ansible.playbook")
    remove(file)
    inventories = (f"--inventory={inventory}",) if inventory else ()
    try:
        do((job.binary, *flags, *inventories, "--", playbook), env=_environment(job, file))
    except StepFailed as failed:
        blamed = failure(_events(file))
        if blamed is None:
            raise
        raise StepFailed(f"in check mode, {blamed}" if flags else blamed, failed.code) from None
    events = _events(file)
    if not events.hosts:
        raise StepFailed("the playbook ran on no host: its plays match nothing in the inventory")
    return events


def _events(file: Path) -> Events:
    return parse(read_result(file) or b"")


def _environment(job: ToolJob, events: Path) -> Mapping[str, str]:
    home = job.scratch / "ansible"
    plugins = home / "callback"
    plugins.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A copy, because this package may lie where the sandbox shows nothing.
    write_scratch(plugins / _PLUGIN.name, _PLUGIN.read_bytes())
    return {
        "STATION_ANSIBLE_EVENTS": str(events),
        "ANSIBLE_CALLBACK_PLUGINS": str(plugins),
        "ANSIBLE_STDOUT_CALLBACK": "station_json",
        "ANSIBLE_CONFIG": str(_settings(job)),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        # Each host expands it itself: a path of this machine would mean nothing there.
        "ANSIBLE_REMOTE_TEMP": "$HOME/.ansible/tmp",
        # A socket's path has room for a hundred bytes, which a directory of a run can exceed.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": "$TMPDIR/cp",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_NOCOWS": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "PYTHONUNBUFFERED": "1",
    }


def _settings(job: ToolJob) -> Path:
    """Choose the settings file: the source's own, or an empty one, so that the machine's has no say."""
    own = job.directory / "ansible.cfg"
    if own.is_file() and not own.is_symlink():
        return own
    empty = job.scratch / "ansible.cfg"
    write_scratch(empty, b"")
    return empty
