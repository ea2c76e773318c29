"""An action of the tests' own, for playbooks in which it does not matter what a task does.

`thing: {path: …, text: …}` makes a file, in ansible's own process: a module would be packed, sent to the host and
started there, several times for a task, which takes longer than everything else that ansible does.
"""

from __future__ import annotations

from pathlib import Path

FILE = "action_plugins/thing.py"
"""Where ansible finds it, beside the playbook."""
ACTION = """
import os

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        path, text = self._task.args["path"], self._task.args["text"]
        before = ""
        if os.path.exists(path):
            with open(path) as file:
                before = file.read()
        if before != text and not self._task.check_mode:
            with open(path, "w") as file:
                file.write(text)
        return {"changed": before != text, "path": path, "diff": {"before": before, "after": text}}
"""


def write_action(directory: Path) -> None:
    """Write the action for the playbooks in a directory."""
    file = directory / FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(ACTION)
