"""What people do on the page: the same as by the API, with the same rights and refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler import locks
from reconciler.core.runs import Run, RunId, RunStatus
from reconciler.core.verdicts import ReviewEffect
from reconciler.runs.audit import Approvals
from reconciler.store.sql import SqlStore
from reconciler.store.stored import AuditEvent
from reconciler.web.ports import Ports
from tests.factories import NOW, a_run_id
from tests.integration.web.pages.fleet import BASE, DRIFTED, NETWORK, put_fleet
from tests.integration.web.pages.offered import partly, paused
from tests.integration.web.pages.person import Page, Person
from tests.integration.web.warm import WarmApp

AsUser = Callable[[str], Person]


@pytest.fixture
def ports(ports: Ports) -> Ports:
    return replace(ports, review_effect=lambda run, person: ReviewEffect(False, "no policy asks for it"))


@pytest.fixture
def runs(store: SqlStore) -> dict[str, Run]:
    return put_fleet(store)


def stored(store: SqlStore, run: Run) -> Run:
    with store.reading() as reading:
        found = reading.run(run.id)
    assert found is not None
    return found


def leads_to(page: Page) -> str:
    assert page.status == 303, page.text
    return page.answer.headers["location"]


def test_a_run_is_confirmed_in_ones_own_name(
    as_user: AsUser, runs: dict[str, Run], store: SqlStore, woken: list[bool]
) -> None:
    run, otto = f"/runs/{runs['waiting'].id}", as_user("otto")
    assert leads_to(otto.press(otto.see(run), f"{run}/confirm")) == run
    assert stored(store, runs["waiting"]).confirmed_by == "user:otto"
    assert woken == [True]
    with store.reading() as reading:
        row = reading.audit(0, 100)[-1].event
    assert (row.event, row.person) == ("run-confirmed", "user:otto")
    assert "otto has confirmed it" in otto.see(run).text


def test_runs_are_discarded_retried_and_canceled(as_user: AsUser, runs: dict[str, Run], store: SqlStore) -> None:
    run, otto = f"/runs/{runs['waiting'].id}", as_user("otto")
    assert leads_to(otto.press(otto.see(run), f"{run}/discard")) == run
    assert stored(store, runs["waiting"]).status is RunStatus.DISCARDED
    failed = f"/runs/{runs['failed'].id}"
    queued = leads_to(otto.press(otto.see(failed), f"{failed}/retry"))
    assert queued not in {run, failed}
    assert leads_to(otto.press(otto.see(queued), f"{queued}/cancel")) == queued
    assert "Canceled by user:otto." in otto.see(queued).text


def test_a_review_says_whether_it_counts(as_user: AsUser, runs: dict[str, Run], store: SqlStore) -> None:
    run, otto = f"/runs/{runs['waiting'].id}", as_user("otto")
    with store.writing() as transaction:
        transaction.put_run(runs["waiting"].evolve(awaits_approval=True))
    assert f"{run}/confirm" not in otto.see(run).forms
    form = otto.see(run).forms[f"{run}/approve"]
    assert leads_to(otto.submit(f"{run}/reject", form | {"note": "not on a Friday"})) == run
    with store.reading() as reading:
        mine = next(it for it in reading.reviews(runs["waiting"].id) if it.person == "user:otto")
    assert (mine.approves, mine.note) == (False, "not on a Friday")
    assert "Your review does not count: no policy asks for it." in otto.see(run).text


def test_a_stack_is_run_suspended_and_resumed(as_user: AsUser, runs: dict[str, Run], store: SqlStore) -> None:
    base, otto = f"/stacks/{BASE}", as_user("otto")
    new = leads_to(otto.press(otto.see(base), f"{base}/run"))
    assert "Requested by user:otto." in otto.see(new).text

    planned = leads_to(otto.press(otto.see(f"/stacks/{DRIFTED}"), f"/stacks/{DRIFTED}/plan"))
    assert "Plan requested by user:otto." in otto.see(planned).text

    def paused() -> bool:
        with store.reading() as reading:
            return reading.stacks()[BASE].paused

    assert leads_to(otto.press(otto.see(base), f"{base}/suspend")) == base
    assert paused()
    assert leads_to(otto.press(otto.see(base), f"{base}/resume")) == base
    assert not paused()


def test_a_lock_is_shown_and_ended_by_its_person(as_user: AsUser, runs: dict[str, Run], store: SqlStore) -> None:
    drifted, otto, wanda = f"/stacks/{DRIFTED}", as_user("otto"), as_user("wanda")
    locks.lock(store, DRIFTED, "<b>moving the database", timedelta(hours=2), "user:otto", NOW)
    theirs = wanda.see(drifted)
    assert "Locked by otto" in theirs.text
    assert "until 2026-03-01 14:00:00 UTC: <b>moving the database" in theirs.text
    # Nothing is offered that would be refused, and the button names the right that is needed.
    assert set(theirs.forms) == {"/sign-out"}
    assert "You need stack:unlock" in [found.get("title") for tag, found in theirs.elements if tag == "button"]
    assert "locked" in wanda.see("/stacks?q=drifted").text
    assert wanda.submit(f"{drifted}/unlock", theirs.forms["/sign-out"]).status == 409
    assert leads_to(otto.press(otto.see(drifted), f"{drifted}/unlock")) == drifted
    assert f"{drifted}/run" in otto.see(drifted).forms


def test_what_takes_more_than_a_button_has_a_form(as_user: AsUser, runs: dict[str, Run], store: SqlStore) -> None:
    drifted, otto, wanda = f"/stacks/{DRIFTED}", as_user("otto"), as_user("wanda")
    forms = otto.see(drifted)
    assert {f"{drifted}/{verb}" for verb in ("lock", "pin", "task", "refresh")} <= set(forms.forms)
    titles = [found.get("title") for tag, found in forms.elements if tag == "button"]
    assert (f"{drifted}/destroy" in forms.forms, "You need stack:delete" in titles) == (False, True)

    for fields in ({"note": " "}, {"note": "why", "duration": "soon"}):
        wrong = otto.press(forms, f"{drifted}/lock", **fields)
        assert (wrong.status, "Locked by" in wrong.text) == (409, False)
    assert leads_to(otto.press(forms, f"{drifted}/lock", note="moving the data", duration="2h")) == drifted
    assert "Locked by otto" in otto.see(drifted).text
    assert set(otto.see(drifted).forms) == {"/sign-out", f"{drifted}/unlock"}
    assert leads_to(otto.press(otto.see(drifted), f"{drifted}/unlock")) == drifted
    refused = otto.press(forms, f"{drifted}/pin", at="nowhere", note="why")
    assert (refused.status, "what is in force is not known here" in refused.text) == (409, True)

    assert otto.press(forms, f"{drifted}/task", command=" ").status == 409
    task = leads_to(otto.press(forms, f"{drifted}/task", command="echo one\r\necho two"))
    with store.reading() as reading:
        found = reading.run(RunId(task.rpartition("/")[2]))
    assert found is not None
    assert (found.command, found.person) == ("echo one\necho two", "user:otto")
    assert leads_to(otto.press(otto.see(task), f"{task}/cancel")) == task
    refreshed = otto.press(forms, f"{drifted}/refresh")
    assert (refreshed.status, "cannot be refreshed" in refreshed.text) == (409, True)

    planned = leads_to(wanda.press(wanda.see(drifted), f"{drifted}/destroy"))
    assert "Destroy run" in wanda.see(planned).text
    assert otto.submit(f"{drifted}/destroy", forms.forms["/sign-out"]).status == 404


def test_a_refusal_is_said_on_the_page(as_user: AsUser, runs: dict[str, Run], store: SqlStore) -> None:
    run, otto = f"/runs/{runs['waiting'].id}", as_user("otto")
    page = otto.see(run)
    otto.press(page, f"{run}/discard")
    late = otto.press(page, f"{run}/confirm")
    assert (late.status, "is discarded: it does not wait for confirmation" in late.text) == (409, True)
    again = otto.submit(f"/stacks/{NETWORK}/run", page.forms["/sign-out"])
    assert again.status == 409
    assert "production/network cannot be run: production/base has no output vpc" in again.text


def test_without_the_right_there_is_no_button_and_no_door(
    as_user: AsUser, runs: dict[str, Run], store: SqlStore, woken: list[bool]
) -> None:
    rita = as_user("rita")
    run, base = f"/runs/{runs['waiting'].id}", f"/stacks/{BASE}"
    token = rita.see("/").forms["/sign-out"]
    assert set(rita.see(run).forms) == set(rita.see(base).forms) == {"/sign-out"}
    # The button is there, and names the right; reviews need a note first.
    titles = [found.get("title", "") for tag, found in rita.see(run).elements if tag == "button"]
    assert "You need run:confirm" in titles
    for path in (
        f"{run}/confirm",
        f"{run}/approve",
        f"{run}/cancel",
        f"{base}/run",
        f"{base}/suspend",
    ):
        page = rita.submit(path, token)
        assert page.status == 404, path
    hidden, absent = (rita.submit(f"/runs/{name}/confirm", token) for name in (runs["secret"].id, a_run_id()))
    assert (hidden.status, absent.status) == (404, 404)
    assert stored(store, runs["waiting"]).confirmed_by is None
    assert woken == []


def test_every_action_needs_the_form_of_its_session(as_user: AsUser, runs: dict[str, Run], store: SqlStore) -> None:
    otto, wanda = as_user("otto"), as_user("wanda")
    run = f"/runs/{runs['waiting'].id}"
    foreign = wanda.see(run).forms[f"{run}/confirm"]
    for path in (f"{run}/confirm", f"{run}/discard", f"/stacks/{BASE}/run", "/held/held-1/approve"):
        assert [otto.submit(path, fields).status for fields in ({}, foreign)] == [403, 403]
    assert stored(store, runs["waiting"]) == runs["waiting"]


def test_a_held_change_is_approved_by_whoever_has_the_right(
    as_user: AsUser, runs: dict[str, Run], store: SqlStore
) -> None:
    otto, wanda = as_user("otto"), as_user("wanda")
    refused = otto.press(otto.see("/held"), "/held/held-1/approve")
    assert (refused.status, "you need stack:update in production" in refused.text) == (409, True)
    assert leads_to(wanda.press(wanda.see("/held/held-1"), "/held/held-1/approve")) == "/held/held-1"
    with store.reading() as reading:
        assert [(it.held, it.subject) for it in reading.approvals()] == [("held-1", "user:wanda")]
    assert "by wanda, not judged yet" in wanda.see("/held").text


def test_an_approval_that_is_in_force_leads_to_what_is_still_held(
    ports: Ports, runs: dict[str, Run], store: SqlStore
) -> None:
    def judge() -> None:
        with store.writing() as transaction:
            transaction.put_held_changes([], NOW)
            transaction.append_audit([AuditEvent(Approvals.ACCEPTED, NOW, None, {"held": "held-1"})])

    with Person(WarmApp(replace(ports, judges=True, wake=judge))) as operator:
        there = leads_to(operator.press(operator.see("/held/held-1"), "/held/held-1/approve"))
        assert (there, operator.see(there).status) == ("/held", 200)


def test_a_part_of_a_plan_is_planned_anew(as_user: AsUser, runs: dict[str, Run], store: SqlStore) -> None:
    run = partly(store)
    here, otto = f"/runs/{run.id}", as_user("otto")
    page = otto.see(here)
    assert "null.a null.b" in page.text
    assert otto.press(page, f"{here}/replan", targets=" ").status == 409
    refused = otto.press(page, f"{here}/replan", targets="null.c")
    assert (refused.status, "changes nothing of null.c" in refused.text) == (409, True)
    planned = leads_to(otto.press(page, f"{here}/replan", targets="null.b\r\n"))
    with store.reading() as reading:
        found = reading.run(RunId(planned.rpartition("/")[2]))
    assert found is not None
    assert found.targets == ("null.b",)
    # One resource has no parts.
    assert "replan" not in otto.see(f"/runs/{runs['waiting'].id}").answer.text


def test_a_paused_rollout_goes_on(as_user: AsUser, runs: dict[str, Run], store: SqlStore) -> None:
    paused(store)
    otto, rita = as_user("otto"), as_user("rita")
    page = otto.see("/")
    assert "its rollout is paused" in page.text.replace("Its", "its")
    assert leads_to(otto.press(page, "/rollouts/production/resume")) == "/"
    assert "/rollouts/production/resume" not in otto.see("/").forms
    assert otto.press(page, "/rollouts/production/resume").status == 409
    assert rita.submit("/rollouts/production/resume", rita.see("/").forms["/sign-out"]).status == 404


def test_an_action_that_does_not_exist(operator: Person, runs: dict[str, Run]) -> None:
    token = operator.see("/").forms["/sign-out"]
    for path in (f"/runs/{runs['waiting'].id}/explode", f"/stacks/{BASE}/explode"):
        assert operator.submit(path, token).status == 404
    assert operator.see(f"/runs/{runs['waiting'].id}/confirm").status == 405
