from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.results import Action, Applied, Planned
from reconciler.tools.ansible.events import UNFORESEEN
from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.registry import tool
from tests.needs import needs

BINARY = Path(sys.executable).with_name("ansible-playbook")
pytestmark = [needs("ansible-playbook"), pytest.mark.slow]


def job(place: Any, tasks: str, hosts: str = "one\n") -> ToolJob:
    (place.work / "hosts").write_text(
        f"{hosts}[all:vars]\nansible_connection=local\nansible_python_interpreter={sys.executable}\ntop={place.top}\n"
    )
    (place.work / "site.yml").write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")
    return ToolJob(str(BINARY), place.work, place.scratch, {"playbook": "site.yml", "inventory": "hosts"})


TASKS = """
    - name: Write
      copy: {content: "hello\\n", dest: "{{ top }}/{{ inventory_hostname }}.txt"}
    - name: Keep quiet
      copy: {content: "top-secret\\n", dest: "{{ top }}/secret"}
      no_log: true
      when: inventory_hostname == "one"
    - name: Several
      copy: {content: "{{ item }}\\n", dest: "{{ top }}/{{ item }}"}
      loop: [a, b]
      run_once: true
    - name: Not now
      command: "false"
      when: false
    - name: Ignored
      assert: {that: false}
      ignore_errors: true
    - name: Tell
      copy: {content: '{"n": 1}', dest: "{{ lookup('env', 'STATION_OUTPUTS') }}"}
      run_once: true
"""


def test_a_round(place: Any) -> None:
    ansible, work = tool("ansible"), job(place, TASKS, "one\ntwo\n")
    ansible.init(work, place.do)
    found = ansible.plan(work, place.do)
    assert {(change.type, change.provider, change.action) for change in found.changes} == {
        ("ansible.builtin.copy", "ansible", Action.UPDATE)
    }
    assert [(change.address, change.before, change.after) for change in found.changes] == [
        ("one/Write", "", "hello\n"),
        ("two/Write", "", "hello\n"),
        ("one/Keep quiet", None, None),
        ("one/Several", ["", ""], ["a\n", "b\n"]),
    ]
    assert not (place.top / "one.txt").exists()

    assert ansible.apply(work, place.do) == Applied(resources=None)
    assert (place.top / "two.txt").read_text() == "hello\n"
    assert json.loads((place.scratch / "outputs.json").read_text()) == {"n": 1}

    assert ansible.plan(work, place.do) == Planned(has_changes=False)
    assert "PLAY RECAP" in place.do.printed
    assert "top-secret" not in place.do.printed
    assert not any(b"top-secret" in path.read_bytes() for path in place.scratch.rglob("*") if path.is_file())
    assert all(path.is_file() for path in ansible.plan_files(work))


def test_drift_shows_as_a_change(place: Any) -> None:
    ansible = tool("ansible")
    work = job(place, '    - name: Write\n      copy: {content: "hello\\n", dest: "{{ top }}/file"}\n')
    (place.top / "file").write_text("edited by hand\n")
    found = ansible.plan(work, place.do).changes
    assert [(change.before, change.after) for change in found] == [("edited by hand\n", "hello\n")]


def test_a_command_cannot_be_foreseen(place: Any) -> None:
    work = job(place, "    - name: Run\n      command: touch {{ top }}/made\n")
    found = tool("ansible").plan(work, place.do)
    assert [(change.address, change.after) for change in found.changes] == [("one/Run", UNFORESEEN)]
    tool("ansible").apply(work, place.do)
    assert (place.top / "made").exists()


def test_a_failing_task_is_named(place: Any) -> None:
    work = job(place, "    - name: Install\n      command: cat /nowhere/at/all\n")
    with pytest.raises(StepFailed, match=r"^task 'Install' failed on one: .*non-zero return code") as failed:
        tool("ansible").apply(work, place.do)
    assert failed.value.code == 2


@needs("ssh")
def test_an_unreachable_host_is_named(place: Any) -> None:
    work = job(
        place, "    - name: Reach\n      ping:\n", "one ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1\n"
    )
    with pytest.raises(StepFailed, match=r"^in check mode, host one cannot be reached, at task 'Reach'"):
        tool("ansible").plan(work, place.do)


@pytest.mark.parametrize("text", ["- hosts: [", "- hosts: all\n  task: []\n"], ids=["not yaml", "unknown key"])
def test_a_playbook_that_cannot_be_read(place: Any, text: str) -> None:
    work = job(place, "")
    (place.work / "site.yml").write_text(text)
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
WRITES = '    - copy: {content: "x", dest: "{{ top }}/x"}\n'


@pytest.mark.parametrize(
    ("config", "where", "env"),
    [
        pytest.param("callback_plugins = plugins", "plugins", {}, id="in ansible.cfg"),
        pytest.param("callback_plugins = ./plugins:other ; why", "other", {}, id="the second of two"),
        pytest.param(None, "plugins", {"ANSIBLE_CALLBACK_PLUGINS": "none:plugins"}, id="in a variable"),
        pytest.param("callback_plugins = no", "plugins", {"ANSIBLE_CALLBACK_PLUGINS": "plugins"}, id="in both"),
        pytest.param(None, "callback_plugins", {}, id="beside the playbook"),
        pytest.param(
            "callback_plugins = plugins", "conf/plugins", {"ANSIBLE_CONFIG": "conf/ansible.cfg"}, id="another file"
        ),
    ],
)
def test_plugins_of_the_source_stay_in_use_beside_ours(
    place: Any, config: str | None, where: str, env: dict[str, str]
) -> None:
    work = replace(job(place, WRITES), env=env)
    (place.work / where).mkdir(parents=True)
    (place.work / where / "theirs.py").write_text(OWN_PLUGIN)
    if config is not None:
        (place.work / env.get("ANSIBLE_CONFIG", "ansible.cfg")).write_text(f"[defaults]\n{config}\n")
    place.do.environment |= env
    found = tool("ansible").plan(work, place.do)
    assert [change.type for change in found.changes] == ["ansible.builtin.copy"]
    assert "their plugin was here" in place.do.printed


@pytest.mark.parametrize("linked", [False, True], ids=["a file", "a link inside the repository"])
def test_settings_of_the_source_come_before_ours(place: Any, linked: bool) -> None:  # noqa: FBT001
    work = job(place, WRITES)
    settings = f"[defaults]\nstdout_callback = minimal\nremote_tmp = {place.home}/remote\nforce_color = true\n"
    (place.work / ("elsewhere" if linked else "ansible.cfg")).write_text(settings)
    if linked:
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
