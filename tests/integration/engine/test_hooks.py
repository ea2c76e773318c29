"""What hooks tell a run, and what they learn of it, in real processes."""

from __future__ import annotations

import json

import pytest

from reconciler.engine.base import Ending, Hook

ABOUT = {"STATION_SPACE": "root", "STATION_RUN_KIND": "tracked", "STATION_PERSON": "user:ada"}


def _hooks(**commands):
    return {name.replace("_", "."): (Hook(command, "Stack root/a"),) for name, command in commands.items()}


def _said(driver):
    return [line for line in driver.log().splitlines() if line.startswith("+")]


def test_variables_of_a_hook_reach_everything_after_it_also_in_the_apply_leg(driver):
    report = driver.both(
        hooks=_hooks(
            before_init='echo A=1 >> "$STATION_ENV"; echo "+here $A"',
            before_plan='echo "+later $A"; echo "A=2" >> "$STATION_ENV"',
            after_apply='echo "+after $A"',
            after_run='echo "+end $A"',
        ),
        plan='echo "+plan $A ${STATION_ENV-none}"; exit 2',
        apply='echo "+apply $A"',
        env={"A": "0"},
    )
    assert report.ending == Ending.SUCCEEDED, report
    assert _said(driver) == ["+here 0", "+later 1", "+plan 2 none", "+apply 2", "+after 2", "+end 2"]


def test_what_takes_over_a_process_no_hook_sets(driver):
    report = driver.plan(hooks=_hooks(before_init="echo BASH_ENV=s3cr3t > $STATION_ENV"))
    assert (report.ending, report.reason) == (Ending.FAILED, "HookFailed")
    assert "line 1 of $STATION_ENV sets BASH_ENV, which takes over a process" in report.message
    assert report.message.startswith("the before.init hook")


def test_a_value_is_masked_from_the_moment_it_is_named(driver):
    hide = 'V=hush-$((41 + 1))-hush; printf "$V" >> "$STATION_MASK"; echo "+hook $V"; echo "V=$V" >> $STATION_ENV'
    report = driver.both(
        hooks=_hooks(before_init=hide, after_plan='echo "{\\"v\\": \\"$V\\"}" > $STATION_FACTS/seen.json'),
        plan='echo "+plan $V"; exit 2',
        apply='echo "+apply $V"; echo "{\\"v\\": \\"$V\\"}" > $STATION_OUTPUTS',
    )
    assert "hush-42-hush" not in driver.log()
    assert _said(driver) == ["+hook ***", "+plan ***", "+apply ***"]
    (output,) = report.applied.outputs
    assert output.sensitive


def test_facts_come_with_the_plan(driver):
    report = driver.plan(hooks=_hooks(after_plan='echo "{\\"monthly\\": 3}" > $STATION_FACTS/cost.json'))
    assert report.planned.facts == {"cost": {"monthly": 3}}


def test_a_fact_that_is_no_json_fails_the_run(driver):
    report = driver.plan(hooks=_hooks(before_plan="echo no > $STATION_FACTS/cost.json"))
    assert (report.ending, report.reason) == (Ending.FAILED, "HookFailed")
    assert "the fact cost ($STATION_FACTS/cost.json) is not JSON" in report.message


def test_hooks_and_tools_know_which_run_it_is(driver):
    seen = 'echo "+$STATION_SPACE $STATION_RUN_KIND $STATION_PERSON"'
    driver.both(hooks=_hooks(before_init=seen), plan=f"{seen}; exit 2", apply=seen, about=ABOUT)
    assert _said(driver) == ["+root tracked user:ada"] * 3


def test_hooks_after_the_plan_see_it_as_json(driver):
    print_it = 'echo "+$(cat $STATION_PLAN)"'
    driver.both(hooks=_hooks(after_plan=f"{print_it}; echo x > $STATION_PLAN", before_apply=print_it))
    assert [json.loads(line[1:]) for line in _said(driver)] == [{"changes": [], "outputs": []}] * 2


@pytest.mark.parametrize("destroy", [False, True])
def test_a_destroy_run_has_hooks_of_its_own(driver, destroy):
    names = ["before_apply", "after_apply", "before_destroy", "after_destroy"]
    report = driver.both(
        hooks=_hooks(**{name: f"echo +{name}" for name in names}),
        options={"apply": "echo +it", "destroy": "echo +it"},
        destroy=destroy,
    )
    assert report.ending == Ending.SUCCEEDED
    word = "destroy" if destroy else "apply"
    assert _said(driver) == [f"+before_{word}", "+it", f"+after_{word}"]
