"""Why something is in its state, in a tone, a word and sentences."""

from __future__ import annotations

import pytest

from reconciler.core.conditions import assess
from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunStatus
from reconciler.core.state import StackState, Waits
from reconciler.web.api.convert import run_json, stack_json
from reconciler.web.views.standing import run_standing, sentence, stack_standing
from reconciler.web.views.tones import run_tone
from tests.factories import NOW, a_desired, a_run, a_stack, a_stack_id, an_applied, an_outcome, later

FAILED = an_outcome(status="failed", reason="ToolFailed", message="terraform exited with 1")


def shown(state: StackState, active: Run | None = None, waits: Waits | None = None) -> tuple[str, str, str, str]:
    standing = stack_standing(stack_json(assess(state, active, (), NOW, waits), active))
    return standing.tone, standing.word, standing.why, standing.advice


@pytest.mark.parametrize(
    ("state", "tone", "word", "advice"),
    [
        pytest.param(a_stack(applied=an_applied()), "good", "UpToDate", "", id="in sync"),
        pytest.param(a_stack(last=FAILED), "bad", "ToolFailed", "retry the run", id="failed"),
        pytest.param(a_stack(paused=True), "quiet", "Suspended", "Resume", id="suspended"),
        pytest.param(a_stack(desired=None, applied=an_applied()), "quiet", "Retained", "back into Git", id="retained"),
        pytest.param(
            a_stack(last=an_outcome(status="failed", reason=Reason.RUNNER_DIED, message="it died"), retry_at=later(10)),
            "bad",
            "RunnerDied",
            "by itself",
            id="tried again",
        ),
        pytest.param(a_stack(desired=a_desired(autodeploy=False)), "busy", "New", "", id="due"),
    ],
)
def test_a_stack_says_why_and_what_to_do(state: StackState, tone: str, word: str, advice: str) -> None:
    found = shown(state)
    assert (found[:2], advice in found[3], bool(found[2])) == ((tone, word), True, True)


def test_a_stack_that_waits_says_for_whom() -> None:
    waits = Waits(a_stack_id("root/base"), "failed: ToolFailed")
    assert shown(a_stack(), None, waits)[:3] == ("waiting", "WaitsForDependency", "root/base failed: ToolFailed.")
    run = a_run(status=RunStatus.UNCONFIRMED)
    assert shown(a_stack(), run)[:2] == ("waiting", "WaitsForConfirmation")


@pytest.mark.parametrize("status", list(RunStatus))
def test_every_run_says_something(status: RunStatus) -> None:
    standing = run_standing(run_json(a_run(status=status)))
    assert (standing.tone, standing.word) == (run_tone(status), status)
    assert standing.why.endswith(".")


def test_a_run_that_was_let_through_a_freeze_waits_for_nobody() -> None:
    frozen = a_run(status=RunStatus.UNCONFIRMED, frozen=True, reason="Frozen")
    assert "can let it through" in run_standing(run_json(frozen)).advice
    assert run_standing(run_json(frozen.evolve(through="user:ada"))).advice == "It goes on by itself."


@pytest.mark.parametrize(
    ("text", "expected"),
    [("its plan", "Its plan."), ("shop/web fails", "shop/web fails."), ("Done!", "Done!"), ("", "")],
)
def test_messages_become_sentences(text: str, expected: str) -> None:
    assert sentence(text) == expected
