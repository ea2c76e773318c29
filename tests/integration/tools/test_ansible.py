from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.results import Action, Planned
from reconciler.runner.contract.job import EndReason
from reconciler.tools.ansible.events import DONE, UNFORESEEN
from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.registry import tool
from tests.needs import needs
from tests.tools.playbooks import write_action

BINARY = Path(sys.executable).with_name("ansible-playbook")
pytestmark = [needs("ansible-playbook"), pytest.mark.slow]


def job(place: Any, tasks: str, hosts: str = "one\n") -> ToolJob:
    (place.work / "hosts").write_text(
        f"{hosts}[all:vars]\nansible_connection=local\nansible_python_interpreter={sys.executable}\ntop={place.top}\n"
    )
    write_action(place.work)
    (place.work / "site.yml").write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")
    return ToolJob(str(BINARY), place.work, place.scratch, {"playbook": "site.yml", "inventory": "hosts"})


TASKS = """
    - name: Write
      copy: {content: "hello\\n", dest: "{{ top }}/{{ inventory_hostname }}.txt"}
    - name: Keep quiet
      thing: {text: "top-secret\\n", path: "{{ top }}/secret"}
      no_log: true
      when: inventory_hostname == "one"
    - name: Several
      thing: {text: "{{ item }}\\n", path: "{{ top }}/{{ item }}"}
      loop: [a, b]
      run_once: true
    - name: Not now
      command: "false"
      when: false
    - name: Ignored
      assert: {that: false}
      ignore_errors: true
    - name: Tell
      thing: {text: '{"n": {{ 1 }}}', path: "{{ lookup('env', 'STATION_OUTPUTS') }}"}
      run_once: true
"""


def test_a_round(place: Any) -> None:
    ansible, work = tool("ansible"), job(place, TASKS, "one\ntwo\n")
    (place.top / "two.txt").write_text("edited by hand\n")
    ansible.init(work, place.do)
    found = ansible.plan(work, place.do)
    assert {(change.type, change.provider, change.action) for change in found.changes} == {
        ("ansible.builtin.copy", "ansible", Action.UPDATE),
        ("thing", "ansible", Action.UPDATE),
    }
    assert [(change.address, change.before, change.after) for change in found.changes] == [
        ("one/Write", "", "hello\n"),
        ("two/Write", "edited by hand\n", "hello\n"),
        ("one/Keep quiet", None, None),
        ("one/Several", ["", ""], ["a\n", "b\n"]),
    ]
    assert not (place.top / "one.txt").exists()

    applied = ansible.apply(work, place.do).resources
    assert [(it.address, it.attributes["status"]) for it in applied] == [
        ("one/Write", "changed"),
        ("two/Write", "changed"),
        ("one/Keep quiet", "changed"),
        ("one/Several", "changed"),
        ("one/Ignored", "ignored"),
        ("two/Ignored", "ignored"),
        ("one/Tell", "changed"),
    ]
    assert (place.top / "two.txt").read_text() == "hello\n"
    assert json.loads((place.scratch / "outputs.json").read_text()) == {"n": 1}

    assert ansible.plan(work, place.do) == Planned(has_changes=False)
    assert "PLAY RECAP" in place.do.printed
    assert "top-secret" not in place.do.printed
    assert not any(b"top-secret" in path.read_bytes() for path in place.scratch.rglob("*") if path.is_file())
    assert all(path.is_file() for path in ansible.plan_files(work))


def test_a_command_cannot_be_foreseen_and_one_that_runs_in_check_mode_too_is_marked_as_done(place: Any) -> None:
    tasks = """
    - name: Run
      command: touch {{ top }}/made
    - name: Look
      thing: {path: "{{ top }}/looked", text: looked}
      check_mode: false
    - name: Try
      slurp: {src: "{{ top }}/made"}
      ignore_errors: "{{ ansible_check_mode }}"
"""
    work = job(place, tasks)
    found = tool("ansible").plan(work, place.do)
    assert [(change.address, change.after) for change in found.changes] == [
        ("one/Run", UNFORESEEN),
        ("one/Look", ["looked", DONE]),
        ("one/Try", UNFORESEEN),
    ]
    assert [(place.top / name).exists() for name in ("made", "looked")] == [False, True]
    tool("ansible").apply(work, place.do)
    assert (place.top / "made").exists()


def test_a_failing_task_is_named(place: Any) -> None:
    work = job(place, "    - name: Install\n      command: cat /nowhere/at/all\n")
    with pytest.raises(StepFailed, match=r"^task 'Install' failed on one: .*non-zero return code") as failed:
        tool("ansible").apply(work, place.do)
    assert (failed.value.code, failed.value.reason) == (2, None)


@needs("ssh")
def test_an_unreachable_host_is_named(place: Any) -> None:
    work = job(
        place, "    - name: Reach\n      ping:\n", "one ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1\n"
    )
    with pytest.raises(StepFailed, match=r"^in check mode, host one cannot be reached, at task 'Reach'") as failed:
        tool("ansible").plan(work, place.do)
    assert EndReason(failed.value.reason) is EndReason.HOST_UNREACHABLE


def test_a_playbook_that_cannot_be_read(place: Any) -> None:
    work = job(place, "")
    (place.work / "site.yml").write_text("- hosts: [")
    with pytest.raises(StepFailed, match="ansible-playbook exited with 4"):
        tool("ansible").plan(work, place.do)


def test_a_playbook_for_no_host_is_a_failure(place: Any) -> None:
    work = job(place, "    - debug:\n")
    (place.work / "site.yml").write_text("- hosts: nobody\n  tasks: [{debug: }]\n")
    with pytest.raises(StepFailed, match="ran on no host"):
        tool("ansible").plan(work, place.do)


def test_nothing_is_left_in_the_home_of_the_service_and_own_settings_hold(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(place, "    - name: Settings\n      debug: {msg: \"{{ lookup('config', 'DEFAULT_FORKS') }} forks\"}\n")
    (place.work / "ansible.cfg").write_text("[defaults]\nforks = 3\nstdout_callback = oneline\n")
    tool("ansible").apply(work, place.do)
    assert "3 forks" in place.do.printed
    assert [path.name for path in place.home.iterdir() if path.name != ".ansible"] == []


OWN_PLUGIN = """
import os

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "theirs"

    def v2_playbook_on_stats(self, stats):
        self._display.display("their plugin was here")
"""
WRITES = '    - lineinfile: {create: true, line: x, path: "{{ top }}/x"}\n'


@pytest.mark.parametrize(
    ("config", "where", "env"),
    [
        pytest.param("callback_plugins = ./plugins:other ; why", "other", {}, id="the second of two in ansible.cfg"),
        pytest.param(
            "callback_plugins = no",
            "plugins",
            {"ANSIBLE_CALLBACK_PLUGINS": "none:plugins"},
            id="in ansible.cfg and a variable",
        ),
        pytest.param(None, "callback_plugins", {}, id="beside the playbook"),
        pytest.param(
            "callback_plugins = plugins", "conf/plugins", {"ANSIBLE_CONFIG": "conf/ansible.cfg"}, id="another file"
        ),
    ],
)
def test_plugins_of_the_source_stay_in_use_beside_ours(
    place: Any, config: str | None, where: str, env: dict[str, str]
) -> None:
    work = replace(job(place, '    - thing: {text: x, path: "{{ top }}/x"}\n'), env=env)
    (place.work / where).mkdir(parents=True)
    (place.work / where / "theirs.py").write_text(OWN_PLUGIN)
    if config is not None:
        (place.work / env.get("ANSIBLE_CONFIG", "ansible.cfg")).write_text(f"[defaults]\n{config}\n")
    place.do.environment |= env
    found = tool("ansible").plan(work, place.do)
    assert [change.type for change in found.changes] == ["thing"]
    assert "their plugin was here" in place.do.printed


def test_settings_of_the_source_come_before_ours_also_through_a_link(place: Any) -> None:
    work = job(place, WRITES)
    settings = f"[defaults]\nstdout_callback = minimal\nremote_tmp = {place.home}/remote\nforce_color = true\n"
    (place.work / "elsewhere").write_text(settings)
    (place.work / "ansible.cfg").symlink_to("elsewhere")
    assert tool("ansible").plan(work, place.do).has_changes
    assert (place.home / "remote").is_dir()
    assert "CHANGED" in place.do.printed, "the log is the one that the source chose"
    assert "\x1b[" in place.do.printed


def test_variables_of_the_documents_come_before_ours(place: Any) -> None:
    env = {"ANSIBLE_REMOTE_TEMP": f"{place.home}/chosen"}
    place.do.environment |= env
    assert tool("ansible").plan(replace(job(place, WRITES), env=env), place.do).has_changes
    assert (place.home / "chosen").is_dir()


INLINE = "[all]\nthree\n"
LOCAL = "all: {vars: {ansible_connection: local, ansible_python_interpreter: %s, top: %s}}\n"
LIST = """#!/bin/sh
echo '{"script": {"hosts": ["two"]}, "_meta": {"hostvars": {"two": {"from": "script"}}}}'
"""
SHOW = """
    - name: Show
      thing: {text: "{{ word }} {{ password }}", path: "{{ top }}/{{ inventory_hostname }}"}
      tags: [shown, other]
    - name: Not tagged
      fail:
    - name: Skipped
      fail:
      tags: [shown, left-out]
"""


def test_inventories_of_every_form_and_what_chooses_hosts_and_tasks(place: Any) -> None:
    options = {
        "inventory": ["dir", "list.sh", {"text": INLINE}],
        "extraVars": {"word": "hello", "password": {"file": "password"}},
        "limit": "all:!four",
        "tags": ["shown"],
        "skipTags": ["left-out", "x"],
        "forks": 2,
    }
    secret = "hunter2-of-ansible"
    work = job(place, SHOW)
    work = replace(work, options={"playbook": "site.yml", **options}, secrets={"extraVars.password": secret})
    (place.work / "dir" / "group_vars").mkdir(parents=True)
    (place.work / "dir" / "hosts").write_text("one\nfour\n")
    (place.work / "dir" / "group_vars" / "all.yml").write_text(
        f"{{ansible_connection: local, ansible_python_interpreter: {sys.executable}, top: {place.top}}}\n"
    )
    (place.work / "list.sh").write_text(LIST)
    (place.work / "list.sh").chmod(0o755)
    found = tool("ansible").plan(work, place.do)
    assert [change.address for change in found.changes] == ["one/Show", "three/Show", "two/Show"]
    tool("ansible").apply(work, place.do)
    assert (place.top / "two").read_text() == f"hello {secret}"
    assert "--forks=2" in place.do.commands[-1]
    assert not any(secret in word for command in place.do.commands for word in command)
    left = [path.name for path in place.scratch.iterdir()]
    assert sorted(left) == ["ansible-callback", "ansible.cfg", "checked"]
    assert not any(secret.encode() in path.read_bytes() for path in place.scratch.rglob("*") if path.is_file())


def test_vaults_are_opened_by_their_ids(place: Any) -> None:
    secrets = {"vaultPasswords.prod": "password-of-prod", "vaultPasswords.default": "another-password"}
    work = job(place, '    - thing: {text: "{{ prod }} {{ plain }}", path: "{{ top }}/opened"}\n')
    for vault, value in (("prod", "of-prod"), ("default", "of-default")):
        (place.home / vault).write_text(secrets[f"vaultPasswords.{vault}"])
        name = "prod" if vault == "prod" else "plain"
        place.do(
            [
                str(BINARY.with_name("ansible-vault")), "encrypt_string", value, f"--name={name}",
                f"--vault-id={vault}@{place.home / vault}", f"--encrypt-vault-id={vault}",
            ],
            stdout=place.home / "encrypted",
        )  # fmt: skip
        (place.work / "group_vars").mkdir(exist_ok=True)
        with (place.work / "group_vars" / "all").open("a") as file:
            file.write((place.home / "encrypted").read_text() + "\n")
    options = {**work.options, "vaultPasswords": {"prod": {"file": "p"}, "default": {"file": "d"}}}
    seen = []
    place.do.before = lambda argv: seen.extend(
        (Path(word.partition("@")[2]).stat().st_mode & 0o777) for word in argv if word.startswith("--vault-id")
    )
    tool("ansible").apply(replace(work, options=options, secrets=secrets), place.do)
    assert (place.top / "opened").read_text() == "of-prod of-default"
    assert seen == [0o600, 0o600]


@needs("ssh", "ssh-keygen")
def test_ssh_gets_the_key_and_the_hosts_to_trust(place: Any) -> None:
    hosts = "one ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1\n"
    work = job(place, "    - ping:\n", hosts)
    (place.work / "ansible.cfg").write_text("[ssh_connection]\nssh_common_args = -o ConnectTimeout=3\n")
    options = {**work.options, "privateKey": {"file": "key"}, "knownHosts": "[127.0.0.1]:1 ssh-ed25519 AAAA\n"}
    seen = []

    def look(argv: Any) -> None:
        (key,) = (Path(word.partition("=")[2]) for word in argv if word.startswith("--private-key"))
        seen.append((key.read_text(), key.stat().st_mode & 0o777, (key.parent / "known_hosts").read_text()))

    place.do.before = look
    place.do.environment["ANSIBLE_VERBOSITY"] = "3"
    with pytest.raises(StepFailed, match="host one cannot be reached"):
        tool("ansible").apply(replace(work, options=options, secrets={"privateKey": "the key"}), place.do)
    assert seen == [("the key\n", 0o600, options["knownHosts"])]
    assert "-o ConnectTimeout=3" in place.do.printed
    assert "UserKnownHostsFile=" in place.do.printed


REQUIREMENTS = """
collections:
  - name: ./acme-tools-1.0.0.tar.gz
    type: file
roles:
  - {name: gitrole, src: "git+file://%s"}
  - {name: tarrole, src: ./role.tar.gz}
"""
USES = """
    - include_role: {name: acme.tools.hello}
    - include_role: {name: gitrole}
    - include_role: {name: tarrole}
"""


def a_role(directory: Path, says: str) -> Path:
    for name in ("tasks", "meta"):
        (directory / name).mkdir(parents=True)
    (directory / "meta" / "main.yml").write_text("galaxy_info: {author: a}\n")
    (directory / "tasks" / "main.yml").write_text(f"- debug: {{msg: {says}}}\n")
    return directory


@needs("git")
def test_requirements_are_installed_once_and_found_in_the_cache_afterwards(place: Any, tmp_path: Path) -> None:
    acme = tmp_path / "acme"
    a_role(acme / "roles" / "hello", "the-collection")
    (acme / "galaxy.yml").write_text(
        "{namespace: acme, name: tools, version: 1.0.0, readme: README.md, authors: [a]}\n"
    )
    (acme / "README.md").touch()
    place.do([str(BINARY.with_name("ansible-galaxy")), "collection", "build", str(acme), f"--output-path={place.work}"])
    upstream = a_role(tmp_path / "upstream", "the-git-role")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "It")):
        subprocess.run(["git", *words], cwd=upstream, check=True)
    with tarfile.open(place.work / "role.tar.gz", "w:gz") as archive:
        archive.add(a_role(tmp_path / "tarred", "the-tar-role"), "tarrole")
    (place.work / "requirements.yml").write_text(REQUIREMENTS % upstream)
    work = job(place, USES)
    options = {**work.options, "requirements": "requirements.yml"}
    work = replace(work, options=options, cache=tmp_path / "cache" / "stack", fills_cache=True)

    def installs(work: ToolJob) -> int:
        place.do.commands.clear()
        tool("ansible").init(work, place.do)
        return len(place.do.commands)

    # What a run of unreviewed code brings is not kept.
    assert [installs(replace(work, fills_cache=False)), installs(work), installs(work)] == [1, 1, 0]
    shutil.rmtree(upstream)
    assert installs(replace(work, fills_cache=False)) == 0, "it needs nothing from elsewhere any more"
    tool("ansible").apply(work, place.do)
    assert all(f'"msg": "the-{it}"' in place.do.printed for it in ("collection", "git-role", "tar-role"))
    # Another content of what the requirements name.
    (place.work / "role.tar.gz").write_bytes(b"no archive")
    with pytest.raises(StepFailed):
        installs(work)
    (place.work / "requirements.yml").unlink()
    with pytest.raises(StepFailed, match=r"there is no file requirements.yml in the source"):
        installs(work)
