from __future__ import annotations

from typing import Any, ClassVar

from tests.contract.tools.subjects.base import SECRET, Subject
from tests.tools.playbooks import ACTION, FILE


class TheSubject(Subject):
    tool = "ansible"
    needs = ("ansible-playbook",)
    lists_half = False
    cannot: ClassVar = {
        "destroyed": "a playbook says itself what it removes",
        "stale plan": "a playbook has no plan that could be saved",
    }

    def spec(self) -> dict[str, Any]:
        return {
            "ansible": {"playbook": "site.yml"},
            "hooks": {"after": {"apply": ["cp outputs.json $STATION_OUTPUTS"]}},
        }

    def files(self, text: str) -> dict[str, str]:
        return self._playbook(self._copy(text), text)

    def failing(self) -> dict[str, str]:
        broken = "    - ansible.builtin.fail: {msg: out of luck}\n      when: not ansible_check_mode\n"
        return self._playbook(self._copy("half") + broken, "half")

    def hanging(self) -> dict[str, str]:
        return self._playbook(f"    - ansible.builtin.shell: touch {self.world}/hanging; sleep 60\n", "never")

    def _copy(self, text: str) -> str:
        return f"    - thing: {{text: {text}, path: {self.world}/thing}}\n"

    def _playbook(self, tasks: str, text: str) -> dict[str, str]:
        head = "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n"
        outputs = f'{{"greeting": "hello {text}", "secret": {{"value": "{SECRET}", "sensitive": true}}}}'
        return {"site.yml": head + tasks, "outputs.json": outputs, FILE: ACTION}
