"""What the page offers to do: every form and button of its templates, and stacks and runs that offer each of them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from reconciler.core.conditions import assess
from reconciler.core.keeping import StackPin
from reconciler.core.results import Action, Planned, ResourceChange
from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import Observed, Sync
from reconciler.runs.audit import about_delivery
from reconciler.store.protocol import Store
from reconciler.web.pages import render
from reconciler.web.views import actions
from spaces.effective.rollouts import RolloutRule
from spaces.effective.windows import Freeze
from spaces.names import SpaceName
from tests.factories import NOW, REVISION, a_desired, a_run, a_stack, an_applied, an_outcome
from tests.integration.web.pages.fleet import put_fleet

_TEMPLATES = Path(render.__file__).parent / "templates"
_FORM = re.compile(r'<form[^>]*method="post"[^>]*action="([^"]+)"|formaction="([^"]+)"')
_ACTION = re.compile(r'_action\(\s*"(\w+)"')
_VALUE = re.compile(r"{{.*?}}")
_NOUNS = {
    "run_actions": "/runs/*",
    "run_forms": "/runs/*",
    "stack_actions": "/stacks/*/*",
    "stack_forms": "/stacks/*/*",
    "resume_action": "/rollouts/*",
    "pool_action": "/queue/pools/*/*",
}
"""What the functions of `views.actions` offer actions for."""


def offered() -> set[str]:
    """Return the addresses that forms and buttons post to, with * for each name."""
    texts = [path.read_text(encoding="utf-8") for path in _TEMPLATES.iterdir()]
    written = [found[1] or found[2] for text in texts for found in _FORM.finditer(text)]
    # Where `base` stands, the form is for one of the actions.
    plain = {_VALUE.sub("*", each).partition("#")[0] for each in written if "{{ base }}" not in each}
    acted = set()
    for name, function in inspect.getmembers(actions, inspect.isfunction):
        found = _ACTION.findall(inspect.getsource(function))
        acted |= {f"{_NOUNS[name]}/{verb}" for verb in found}
    return plain | acted


def put_everything(store: Store) -> dict[str, Run]:
    """Store the fleet, and what offers the actions that nothing of it does; give the runs by name."""
    paused(store)
    runs = put_fleet(store) | {"partly": partly(store)}
    frozen = a_run("production/frozen", status=RunStatus.UNCONFIRMED, frozen=True, reason="Frozen", attempt=1)
    freeze = Freeze(SpaceName("production"), "0 11 * * *", "UTC", 7200, "admin")
    with store.writing() as transaction:
        state = a_stack(frozen.stack, desired=a_desired(freezes=(freeze,)), sync=Sync.OUT_OF_SYNC)
        transaction.put_stacks([assess(state, frozen, (), NOW), a_stack("production/gone", desired=None)])
        pin = StackPin(REVISION, "", None, frozen.id, "user:otto", "it is slow", NOW, None)
        pinned = a_stack("production/pinned", desired=a_desired(pin=pin))
        transaction.put_stacks([assess(pinned, None, (), NOW)])
        transaction.put_pin(pinned.id, pin)
        asked = a_run("production/asked", status=RunStatus.UNCONFIRMED, awaits_approval=True, attempt=1)
        transaction.put_stacks([assess(a_stack(asked.stack), asked, (), NOW)])
        transaction.add_runs([frozen, asked])
        transaction.append_audit([about_delivery(runs["failed"], "production/hook", "run.failed", "timeout", NOW)])
    return runs | {"frozen": frozen, "asked": asked}


def partly(store: Store) -> Run:
    """Store a stack that has drifted, and give its failed run, of whose plan a part can be planned anew."""
    run = a_run("production/tofu", status=RunStatus.FAILED, reason="ToolFailed", attempt=1)
    seen = Observed(run.id, NOW, run.digest, drifted=1)
    state = a_stack(run.stack, desired=a_desired(tool="opentofu"), applied=an_applied(), observed=seen)
    changes = tuple(ResourceChange(f"null.{name}", "null", "p", Action.CREATE, None, {}) for name in ("a", "b"))
    with store.writing() as transaction:
        transaction.put_stacks([assess(state, None, (), NOW)])
        transaction.add_runs([run])
        transaction.record_plans({run.id: Planned(has_changes=True, changes=changes)})
    return run


def paused(store: Store) -> None:
    """Store a rollout that a failed stack has paused."""
    rule = RolloutRule(SpaceName("production"), most=None, failures=1, canaries=False)
    desired = a_desired(rollout=rule)
    failed = an_outcome(status="failed", reason="ToolFailed", digest=desired.digest)
    waits = a_stack("production/late", desired=desired, sync=Sync.OUT_OF_SYNC).evolve(turn="it waits")
    bad = a_stack("production/bad", desired=desired, sync=Sync.OUT_OF_SYNC, failed=failed, last=failed)
    with store.writing() as transaction:
        transaction.put_stacks([assess(state, None, (), NOW) for state in (waits, bad)])
