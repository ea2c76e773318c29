"""Ansible: a playbook in check mode is the plan, the same playbook for real is the apply.

There is no saved plan: what binds an apply is the source directory and the events of the check run. A task that
check mode leaves out (a command, a module without check mode) counts as a change that cannot be foreseen, so that
a playbook of commands is not taken for one without anything to do. Ansible keeps no record of what exists, so
resources cannot be listed. What `no_log` hides is never written down; any other diff is what ansible shows.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from configparser import Error as ParserError
from configparser import RawConfigParser
from pathlib import Path
from posixpath import dirname, join

from reconciler.core.results import Applied, Planned
from reconciler.tools.ansible.events import Events, failure, parse, planned
from reconciler.tools.base import Abilities, Do, References, SourceReader, StepFailed, ToolJob
from reconciler.tools.files import read_result, remove, write_scratch

_PLUGIN = Path(__file__).parent / "callback" / "station_json.py"
_VERSION = re.compile(r"^ansible-playbook \[core ([^\]\s]+)\]", re.MULTILINE)


class Ansible:
    """Runs `ansible-playbook`."""

    name = "ansible"
    binaries: tuple[str, ...] = ("ansible-playbook",)
    abilities = Abilities(destroys=False, plans_drift=True, managed_tfstate=False)

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
        """Do nothing: a playbook that cannot be read fails the plan."""

    def plan(self, job: ToolJob, do: Do) -> Planned:
        """Run the playbook in check mode and return what it would change."""
        if job.destroy:
            raise StepFailed("ansible cannot destroy: write a playbook that removes what this one made")
        events = _run(job, do, _checked(job), "--check", "--diff")
        return planned(events)

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Run the playbook. Outputs come from the outputs file, which the runner reads."""
        _run(job, do, job.scratch / "applied.jsonl")
        return Applied()

    def plan_files(self, job: ToolJob) -> Sequence[Path]:
        """Name the events of the check run."""
        return (_checked(job),)


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
        raise StepFailed("the playbook ran on no host: none in the inventory matches its plays")
    return events


def _events(file: Path) -> Events:
    return parse(read_result(file) or b"")


def _environment(job: ToolJob, events: Path) -> Mapping[str, str]:
    plugins = job.scratch / "ansible" / "callback"
    plugins.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A copy, because this package may lie where the sandbox shows nothing.
    write_scratch(plugins / _PLUGIN.name, _PLUGIN.read_bytes())
    place, settings = _settings(job)
    ours = {
        name: value
        for name, (section, key, value) in _CHOSEN.items()
        if name not in job.env and not settings.has_option(section, key)
    }
    return {
        **ours,
        "ANSIBLE_CONFIG": place,
        "STATION_ANSIBLE_EVENTS": str(events),
        "ANSIBLE_CALLBACK_PLUGINS": ":".join([str(plugins), *_callback_plugins(job, place, settings)]),
        **({} if "PYTHONUNBUFFERED" in job.env else {"PYTHONUNBUFFERED": "1"}),
    }


_CHOSEN = {
    # Each host expands it itself: a path of this machine would mean nothing there.
    "ANSIBLE_REMOTE_TEMP": ("defaults", "remote_tmp", "$HOME/.ansible/tmp"),
    # A socket's path has room for a hundred bytes, which a directory of a run can exceed.
    "ANSIBLE_SSH_CONTROL_PATH_DIR": ("ssh_connection", "control_path_dir", "$TMPDIR/cp"),
    "ANSIBLE_RETRY_FILES_ENABLED": ("defaults", "retry_files_enabled", "0"),
    "ANSIBLE_NOCOWS": ("defaults", "nocows", "1"),
    "ANSIBLE_NOCOLOR": ("defaults", "nocolor", "1"),
    "ANSIBLE_FORCE_COLOR": ("defaults", "force_color", "0"),
}
"""What a run is better off with, unless a document or the source's settings file (section and key) say otherwise."""


def _callback_plugins(job: ToolJob, place: str, settings: RawConfigParser) -> list[str]:
    """Return where ansible looks for callback plugins without us."""
    if "ANSIBLE_CALLBACK_PLUGINS" in job.env:
        return job.env["ANSIBLE_CALLBACK_PLUGINS"].split(":")
    configured = settings.get("defaults", "callback_plugins", fallback=None)
    if configured is None:
        return ["~/.ansible/plugins/callback", "/usr/share/ansible/plugins/callback"]
    # In the file, paths are relative to it; in a variable, to where ansible runs.
    return [each if each.startswith(_ELSEWHERE) else join(dirname(place), each) for each in configured.split(":")]


_ELSEWHERE = ("/", "~", "$", "{{")


def _settings(job: ToolJob) -> tuple[str, RawConfigParser]:
    """Choose the settings file and read it: the document's, the source's own, or an empty one.

    So the machine's has no say. One that cannot be read is left to ansible, which explains it.
    """
    settings = RawConfigParser(inline_comment_prefixes=(";",), strict=False)
    chosen = job.env.get("ANSIBLE_CONFIG", "ansible.cfg")
    own = job.directory / chosen
    if "ANSIBLE_CONFIG" not in job.env and not own.is_file():
        empty = job.scratch / "ansible.cfg"
        write_scratch(empty, b"")
        return str(empty), settings
    run = os.path.realpath(os.path.commonpath([job.directory, job.scratch]))
    real = Path(os.path.realpath(own))
    if real.is_relative_to(run) and real.is_file():
        with contextlib.suppress(ParserError, UnicodeDecodeError):
            settings.read_string((read_result(real) or b"").decode())
    # Relative, so that ansible's paths are the same in every run.
    return chosen, settings
