"""Beside ansible's readable log, whichever the source chooses: a JSON object a line for each task's end on each host.

Runs in ansible's own process, whatever Python and ansible-core (2.16 or later) that is.
"""
# ansible-core ships no types, and its classes are ours to extend, not to describe.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202, ANN204, D102, SLF001

from __future__ import annotations

import json
import os

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: station_json
    type: aggregate
    short_description: machine-readable events
    description:
        - Writes events to the file that STATION_ANSIBLE_EVENTS names, and prints nothing.
"""

_REASONS_TO_SKIP = {"skip_reason", "skipped_reason", "false_condition"}
_NEVER_CHANGE = {"assert", "fail"}
_COMMANDS = {"command", "expect", "raw", "script", "shell", "win_command", "win_shell"}


class CallbackModule(CallbackBase):
    """Writes the events."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "station_json"

    def __init__(self):
        super().__init__()
        path = os.environ["STATION_ANSIBLE_EVENTS"]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._events = os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", buffering=1)

    def v2_runner_on_ok(self, result):
        self._task(result, "changed" if _content(result).get("changed") else "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):  # noqa: FBT002 - ansible's signature
        self._task(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result):
        ignored = getattr(_task_of(result), "ignore_unreachable", False)
        self._task(result, "ignored" if ignored else "unreachable")

    def v2_runner_on_skipped(self, result):
        self._task(result, "skipped")

    def v2_playbook_on_stats(self, stats):
        self._write({"event": "end", "hosts": {host: stats.summarize(host) for host in sorted(stats.processed)}})

    def _task(self, result, status):
        content, task = _content(result), _task_of(result)
        hidden = bool(content.get("_ansible_no_log")) or task.no_log is True
        module = task.resolved_action or task.action
        # `no_log` hides the reason as well: only a command, or a task without a condition, is then left to doubt.
        in_doubt = not (hidden and task.when) or module.rpartition(".")[2] in _COMMANDS
        self._write(
            {
                "event": "task",
                "status": status,
                "host": (getattr(result, "host", None) or result._host).get_name(),
                "task": task.get_name().strip(),
                "module": module,
                "message": None if hidden else _message(content),
                "hidden": hidden,
                "unforeseen": _only_tried(task, module)
                if status == "ignored"
                else in_doubt and status in {"ok", "skipped", "changed"} and _unforeseen(content, status),
                "done": status == "changed" and _ran_in_check_mode(task),
                "outputs": _writes_outputs(content),
                "diffs": [] if hidden else _diffs(content),
            }
        )

    def _write(self, event):
        self._events.write(json.dumps(event, default=_not_shown) + "\n")


def _content(result):
    return getattr(result, "result", None) or result._result


def _task_of(result):
    return getattr(result, "task", None) or result._task


def _items(content):
    """Return the results of a loop's items, or the one result of a task without a loop."""
    items = content.get("results")
    if (
        isinstance(items, list)
        and items
        and all(isinstance(item, dict) and "ansible_loop_var" in item for item in items)
    ):
        return items
    return [content]


def _ran_in_check_mode(task):
    """Whether the task changes its host even where only a check is asked for: that is then done already."""
    return bool(context.CLIARGS.get("check")) and task.check_mode is False


def _only_tried(task, module):
    """Whether a task whose failure is ignored may well succeed where more than a check is asked for."""
    checks = bool(context.CLIARGS.get("check")) and task.check_mode is not False
    return checks and module.rpartition(".")[2] not in _NEVER_CHANGE


def _unforeseen(content, status):
    """Whether some of it was left out only because this is a check, so that nobody knows what it would change."""
    items = _items(content)
    if items[0] is content:
        return status == "skipped" and not _REASONS_TO_SKIP & content.keys()
    return any(item.get("skipped") and not _REASONS_TO_SKIP & item.keys() for item in items)


def _parts(item):
    """Return the differences of one result: a module may have one, several or none."""
    diff = item.get("diff") or []
    return [part for part in (diff if isinstance(diff, list) else [diff]) if isinstance(part, dict)]


def _diffs(content):
    found = []
    for item in _items(content):
        if item.get("_ansible_no_log") or not item.get("changed"):
            continue
        for part in _parts(item):
            kept = {key: part[key] for key in ("before", "after", "prepared") if key in part}
            if kept:
                found.append(kept)
    return found


def _writes_outputs(content):
    file = os.environ.get("STATION_OUTPUTS")
    named = [
        name
        for item in _items(content)
        for name in (item.get("dest"), item.get("path"), *(part.get("after_header") for part in _parts(item)))
    ]
    return file is not None and file in named


def _message(content):
    for item in _items(content):
        message = item.get("msg") if item is content or item.get("failed") else None
        if isinstance(message, str) and message and not item.get("_ansible_no_log"):
            return message
    return None


def _not_shown(value):
    return f"({type(value).__name__})"
