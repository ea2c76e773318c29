"""What pages show, to whom, and that nothing in it becomes markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import quote

import pytest

from reconciler.adopting.edits import ByHand, Edit
from reconciler.adopting.finding import Adoption, Difference
from reconciler.core.runs import Run, RunStatus
from reconciler.metrics import Metrics
from reconciler.store.sql import SqlStore
from reconciler.store.stored import AuditEvent
from reconciler.web.pages.render import address
from reconciler.web.ports import Ports
from spaces.names import StackId
from tests.factories import NOW, REVISION, a_desired, a_run, a_run_id, a_stack, an_applied
from tests.integration.web.pages.fleet import BASE, CANARY, DRIFTED, LOG, configuration, put_fleet
from tests.integration.web.pages.person import Page, Person
from tests.integration.web.warm import WarmApp

AsUser = Callable[[str], Person]


@pytest.fixture
def ports(ports: Ports) -> Ports:
    return replace(
        ports,
        effective=lambda stack: configuration() if stack.name == "network" else None,
        live_log=lambda run, offset, limit: LOG[offset : offset + limit],
        summary=lambda revision: CANARY,
        held_diff=lambda held: f"--- a\n+++ b\n@@ -1 +1 @@\n-{CANARY}\n+{CANARY}{CANARY}\n",
    )


@pytest.fixture
def runs(store: SqlStore) -> dict[str, Run]:
    return put_fleet(store)


def every_page(runs: dict[str, Run]) -> list[str]:
    run = f"/runs/{runs['waiting'].id}"
    return [
        "/",
        "/stacks",
        "/stacks?q=network&label=owner%3Dx",
        "/stacks/production/network",
        "/stacks/production/base",
        "/stacks/production/drifted",
        "/stacks/production/drifted/adopt",
        "/notifications",
        "/runs",
        run,
        f"{run}?find=xss",
        f"/runs/{runs['failed'].id}",
        "/held",
        "/held/held-1",
        "/resources",
        "/resources?shared=true",
        "/resources?group=type",
        "/access?ask=of&subject=user:rita",
        "/access?ask=who&action=stack:read&space=production",
        "/access?ask=can&subject=<script>&action=x&space=y",
        "/queue",
        "/revisions",
        "/audit",
        "/blueprints",
        "/service",
        "/stacks/production/network/explain",
        "/stacks/production/network/explain?resource=<script>",
    ]


def check_markup(page: Page) -> None:
    """Only what the templates write is markup: the canary has brought no element, attribute or address in."""
    assert [found for tag, found in page.elements if tag in {"img", "iframe", "object", "embed", "style"}] == []
    scripts = [found["src"].partition("?")[0] for tag, found in page.elements if tag == "script"]
    assert scripts == ["/static/htmx-2.0.11.min.js", "/static/live.js"]
    for tag, found in page.elements:
        assert not [name for name in found if name.startswith("on") or name == "style"], (tag, found)
        for name in ("href", "action", "formaction", "hx-get"):
            # Only what a Git server says of its own leads elsewhere.
            elsewhere = ("https://",) if found.get("rel") == "noreferrer" else ()
            assert found.get(name, "/").startswith(("/", "#", *elsewhere)), (tag, found)


def test_text_from_outside_never_becomes_markup(operator: Person, runs: dict[str, Run]) -> None:
    shown = 0
    for path in every_page(runs):
        page = operator.see(path)
        assert page.status == 200, path
        check_markup(page)
        assert "hunter2" not in page.answer.text
        shown += page.text.count("alert(")
    assert shown > 60


def test_every_page_has_the_headers_that_keep_scripts_out(operator: Person, runs: dict[str, Run]) -> None:
    for path in [*every_page(runs), "/sign-in", "/nothing"]:
        headers = operator.client.request("GET", path, headers={"Accept": "text/html"}).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert (headers["x-frame-options"], headers["cache-control"]) == ("DENY", "no-store")


def test_a_run_is_shown_whole(operator: Person, runs: dict[str, Run]) -> None:
    page = operator.see(f"/runs/{runs['waiting'].id}")
    for words in (
        "production/network",
        "plan 1.5 s",
        "Confirm and destroy",
        "Discard",
        "destroyed",
        "warn",
        "approves",
    ):
        assert words in page.text, words
    text = operator.client.get(f"/runs/{runs['failed'].id}/log")
    assert (text.content, text.headers["content-type"]) == (LOG, "text/plain; charset=utf-8")


def test_a_stack_is_shown_whole(operator: Person, runs: dict[str, Run]) -> None:
    page = operator.see("/stacks/production/network")
    for words in ("WaitsForConfirmation", "sensitive: not shown", "secret file token", "base", "before plan", "VPC"):
        assert words in page.text, words
    assert {"/stacks/production/base", f"/runs/{runs['waiting'].id}"} <= set(page.links)


def test_what_is_broken_is_said_with_its_place_to_whom_it_concerns(
    operator: Person, as_user: AsUser, runs: dict[str, Run]
) -> None:
    assert "javascript:alert(1):3:1" in operator.see("/").text
    assert "In the configuration" not in as_user("nobody").see("/").text


def test_drift_is_shown_where_one_looks(operator: Person, runs: dict[str, Run]) -> None:
    page = operator.see("/stacks/production/drifted")
    assert "the real world has changed since: 1 resource differs" in page.text
    assert ("Drift what differs" in page.text, "Check drift" in page.text) == (True, True)
    assert "/stacks/production/drifted" in operator.see("/").links
    assert operator.see("/resources?stack=production/drifted").text.count("drift: changed") == 1
    assert operator.press(page, "/stacks/production/drifted/drift").status == 303


def test_only_what_the_tool_says_is_the_health_of_a_resource(
    operator: Person, runs: dict[str, Run], store: SqlStore
) -> None:
    def badges() -> list[str]:
        page = operator.see("/resources?stack=production/drifted")
        return [found["class"] for tag, found in page.elements if tag == "span" and "badge" in found.get("class", "")]

    # It is a script that has an attribute of this name.
    assert set(badges()) == {"badge tone-waiting"}
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(DRIFTED, desired=a_desired(tool="kubernetes"), applied=an_applied())])
    assert "badge tone-bad" in badges()


def test_what_a_commit_says_is_for_readers_of_everything(
    operator: Person, as_user: AsUser, runs: dict[str, Run]
) -> None:
    waiting = f"/runs/{runs['waiting'].id}"
    assert f"Revision {REVISION[:10]} {CANARY}" in operator.see(waiting).text
    assert f"Revision {REVISION[:10]} {CANARY}" not in as_user("rita").see(waiting).text


def test_one_sees_what_the_api_would_show(as_user: AsUser, runs: dict[str, Run]) -> None:
    rita = as_user("rita")
    for path in ("/", "/stacks", "/runs", "/queue", "/resources", "/revisions", "/held", "/access"):
        page = rita.see(path)
        assert page.status == 200
        assert "secret" not in page.answer.text
    assert "production/" in rita.see("/stacks").text


def test_what_one_may_not_see_is_not_there(as_user: AsUser, runs: dict[str, Run]) -> None:
    missing = a_run_id()
    pairs = [
        ("/stacks/root/secret", "/stacks/root/absent"),
        (f"/runs/{runs['secret'].id}", f"/runs/{missing}"),
        (f"/runs/{runs['secret'].id}/log", f"/runs/{missing}/log"),
        ("/stacks?space=root", "/stacks?space=absent"),
        ("/queue?space=root", "/queue?space=absent"),
    ]
    rita = as_user("rita")
    for hidden, absent in pairs:
        answers = [rita.see(path) for path in (hidden, absent)]
        assert [answer.status for answer in answers] == [404, 404]
        texts = [
            answer.text.replace("secret", "absent").replace(runs["secret"].id, missing).replace("root", "absent")
            for answer in answers
        ]
        assert texts[0] == texts[1].replace("root", "absent")
    nobody = as_user("nobody")
    assert nobody.see("/stacks/production/network").status == 404
    assert "No stack matches" in nobody.see("/stacks").text
    assert "Nothing is held" in nobody.see("/held").text


def test_the_table_is_filtered_by_its_address_and_has_pages(operator: Person, store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(f"production/s{number:03}") for number in range(120)])
    names: list[str] = []
    path, seen = "/stacks?q=production/s", 0
    while path:
        page = operator.see(path)
        names += [link for link in page.links if link.startswith("/stacks/production/")]
        path = next((link for link in page.links if "cursor=" in link), "")
        seen += 1
    assert (len(names), len(set(names)), seen) == (120, 120, 3)
    page = operator.see("/stacks", q="s00", sync="OutOfSync", tool="script", condition="", label="")
    assert "No stack matches" in page.text
    for wrong in ({"sync": "Asleep"}, {"condition": "Ready"}, {"label": "x"}, {"tool": "hammer"}, {"colour": "red"}):
        page = operator.see("/stacks", **wrong)
        assert (page.status, "That cannot be read" in page.text) == (422, True)


def test_a_part_is_sent_only_once_it_has_changed(operator: Person, runs: dict[str, Run], store: SqlStore) -> None:
    run = f"/runs/{runs['waiting'].id}"
    for path in ("/", "/stacks", "/runs", "/queue", "/revisions", "/stacks/production/network", run):
        polls = [found["hx-get"] for _, found in operator.see(path).elements if "seen=" in found.get("hx-get", "")]
        assert polls, path
        assert [operator.see(poll).status for poll in polls] == [204] * len(polls)
    poll = next(found["hx-get"] for _, found in operator.see(run).elements if "seen=" in found.get("hx-get", ""))
    assert operator.press(operator.see(run), f"{run}/discard").status == 303
    part = operator.see(poll)
    assert (part.status, "discarded" in part.text, "<html" in part.answer.text) == (200, True, False)
    # It has ended, so the page asks no more.
    assert [found for _, found in part.elements if "hx-get" in found] == []


def test_the_audit_is_filtered_and_only_for_readers_of_everything(
    operator: Person, as_user: AsUser, runs: dict[str, Run]
) -> None:
    run = f"/runs/{runs['waiting'].id}"
    assert operator.press(operator.see(run), f"{run}/discard").status == 303
    page = operator.see("/audit")
    rows = page.text.partition(" What Row ")[2]
    assert -1 < rows.find("run-discarded operator production/ network") < rows.find("policy-decided")
    assert {run, "/stacks/production/network"} <= set(page.links)
    found = operator.see("/audit", event="run-discarded", stack="production/network", since="2020-01-01T00:00")
    assert (found.text.count("all of it"), "policy-decided operator" in found.text) == (1, False)
    assert "No row matches" in operator.see("/audit?until=2020-01-01T00:00").text
    assert operator.see("/audit?since=yesterday").status == 422
    rita = as_user("rita")
    assert (rita.see("/audit").status, "/audit" in rita.see("/").links) == (404, False)


def test_a_stack_is_explained_to_who_may_read_its_runs(
    operator: Person, as_user: AsUser, runs: dict[str, Run], store: SqlStore
) -> None:
    explain = "/stacks/production/network/explain"
    page = operator.see(explain)
    assert "Nothing was applied of it by then" in page.text
    assert explain in operator.see("/stacks/production/network").links
    found = operator.see(f"{explain}?resource={quote(CANARY)}")
    assert "Made by run" in found.text
    assert "resource nothing of stack production/network" in operator.see(f"{explain}?resource=nothing").text
    done = a_run(BASE, status=RunStatus.FINISHED, reason="Applied", finished_at=NOW)
    with store.writing() as transaction:
        transaction.add_runs([done])
        transaction.append_audit([AuditEvent("apply-ended", NOW, "user:otto", {"run": done.id, "status": "finished"})])
    base = as_user("rita").see("/stacks/production/base/explain")
    assert (f"/runs/{done.id}" in base.links, "apply-ended by otto finished" in base.text) == (True, True)
    assert as_user("nobody").see(explain).status == 404


def test_what_is_left_out_of_the_address_and_what_is_not() -> None:
    assert address("/x", a=0, b=None, c="", d=False, e=True, f=[]) == "/x?a=0&e=true"


def test_resources_and_runs_are_filtered_by_their_addresses(operator: Person, runs: dict[str, Run]) -> None:
    def found(path: str) -> set[str]:
        return {link for link in operator.see(path).links if link.startswith("/stacks/") and "explain" not in link}

    assert found("/resources?stack=root/secret&q=most") == {"/stacks/root/secret"}
    assert operator.see("/resources?stack=secret").status == 422
    assert found("/runs?label=owner=x") == set()
    polls = [it["hx-get"] for _, it in operator.see(f"/runs/{runs['waiting'].id}?skip=1").elements if "hx-get" in it]
    assert any("skip=1" in poll for poll in polls)


def test_resources_are_grouped_and_what_several_stacks_have_is_marked(
    operator: Person, as_user: AsUser, runs: dict[str, Run]
) -> None:
    grouped = operator.see("/resources?group=stack&q=alert")
    check_markup(grouped)
    assert "root/ secret 1 1 1 not ready" in grouped.text
    into = next(link for link in grouped.links if "stack=root" in link)
    assert into == "/resources?stack=root%2Fsecret&q=alert"
    assert operator.see("/resources?group=nothing").status == 422
    rita = as_user("rita")
    assert {rita.see("/resources?shared=true").text.count(words) for words in ("in 2 stacks", "in 3 stacks")} == {2, 0}
    assert operator.see("/resources?shared=true").text.count("in 3 stacks") == 3
    assert "most.secret" not in operator.see("/resources?shared=true").text
    assert "root/" not in rita.see("/resources?group=stack").text
    # Who made it, for those who may read runs.
    assert f"/runs/{runs['waiting'].id}" in rita.see("/resources?stack=production/network").links


def test_what_to_change_in_git_is_shown_for_drift(ports: Ports, runs: dict[str, Run], as_user: AsUser) -> None:
    assert "/stacks/production/drifted/adopt" in as_user("rita").see("/stacks/production/drifted").links
    assert "found nothing that differs" in as_user("rita").see("/stacks/production/network/adopt").text
    assert as_user("nobody").see("/stacks/production/drifted/adopt").status == 404

    asked = []

    def adoptions(stack: StackId, differences: Iterable[Difference]) -> list[Adoption]:
        asked.extend(differences)
        edit = Edit(f"{CANARY}.tf", 3, 4, f'"{CANARY}"', 7)
        return [
            Adoption(CANARY, CANARY, CANARY, [CANARY], edit, in_source=True),
            Adoption(CANARY, None, None, None, ByHand(CANARY)),
        ]

    with Person(WarmApp(replace(ports, adoptions=adoptions, metrics=Metrics()))) as operator:
        page = operator.see("/stacks/production/drifted/adopt")
    check_markup(page)
    assert asked[0]["attributes"][0]["is"] == CANARY
    assert f"{CANARY}.tf :7".replace(" ", "") in page.text.replace(" ", "")


def test_a_growing_log_goes_on_where_it_was(operator: Person, runs: dict[str, Run]) -> None:
    run = f"/runs/{runs['waiting'].id}"
    (poll,) = (found["hx-get"] for _, found in operator.see(run).elements if "log/more" in found.get("hx-get", ""))
    assert poll == f"{run}/log/more?after=3&offset={len(LOG)}"
    assert operator.see(poll).status == 204
    more = operator.see(f"{run}/log/more", after=1, offset=LOG.index(b"\n") + 1)
    check = [found["id"] for _, found in more.elements if found.get("id", "").startswith("L")]
    assert check == ["L2", "L3"]


def test_a_missing_page_is_a_page_for_browsers_and_a_problem_for_programs(operator: Person) -> None:
    def kind(path: str, accept: str) -> str:
        answer = operator.client.request("GET", path, headers={"Accept": accept})
        assert answer.status_code == 404
        return answer.headers["content-type"].partition(";")[0]

    assert kind("/nothing", "text/html") == "text/html"
    assert kind("/nothing", "*/*") == kind("/api/v1/nothing", "text/html") == "application/problem+json"
    assert kind("/static/nothing.js", "*/*") == "text/html"
    assert kind("/static/..%2frender.py", "*/*") == "application/problem+json"
