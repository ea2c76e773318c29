"""The page in a real browser: scripts from outside never run, and what changes appears by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import pytest

from reconciler.core.phases import Phase
from reconciler.core.runs import Run, RunStatus
from reconciler.store.sql import SqlStore
from reconciler.web import device
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from tests.factories import a_run, a_stack
from tests.integration.web.client import OPERATOR_TOKEN
from tests.integration.web.pages.browser import Axe
from tests.integration.web.pages.fleet import CANARY, configuration, put_fleet
from tests.integration.web.pages.offered import offered, put_everything
from tests.integration.web.pages.test_pages import every_page
from tests.needs import needs

pytestmark = [needs("chromium"), pytest.mark.slow]

LOG = bytearray()

NAMELESS = """() => [...document.querySelectorAll('a, button, select, input:not([type=hidden])')].filter(it =>
  it.checkVisibility() && !(it.innerText || it.ariaLabel || it.labels?.length || it.querySelector('[aria-label], title')
)).map(it => it.outerHTML)"""
"""Finds what a screen reader could not name."""


BELOW = "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)(document.querySelector('.log'))"
"""How many pixels of a log are below what is seen of it."""


WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('main *')].filter(it =>
  it.getBoundingClientRect().right > innerWidth && !it.closest('.log, .diff, .scroll, pre')).map(it => it.outerHTML.slice(0, 200))"""
"""Finds what makes a page wider than its window."""


@pytest.fixture
def ports(ports: Ports) -> Ports:
    LOG.clear()
    return replace(
        ports,
        effective=lambda stack: configuration() if stack.name == "network" else None,
        live_log=lambda run, offset, limit: bytes(LOG[offset : offset + limit]),
        earlier=lambda stack, at: a_run(stack),
        summary=lambda revision: CANARY,
        held_diff=lambda held: f"--- a\n+++ b\n@@ -1 +1 @@\n-{CANARY}\n+{CANARY}\n",
    )


@pytest.fixture
def troubles() -> list[str]:
    """What a browser complained about, such as a script that the content security policy stopped."""
    return []


@pytest.fixture
def tab(chromium: Any, server: HttpServer, troubles: list[str]) -> Iterator[Any]:
    """A tab in which the operator is signed in."""
    context = chromium.new_context(base_url=server.url, viewport={"width": 400, "height": 800}, has_touch=True)
    tab = context.new_page()
    tab.set_default_timeout(20_000)
    tab.on("dialog", lambda dialog: troubles.append(dialog.message))
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("console", lambda said: troubles.append(_complaint(said)) if said.type in {"error", "warning"} else None)
    tab.goto("/sign-in?next=/stacks")
    # Browsers set the focus after the page has loaded, and what is typed before is lost.
    tab.wait_for_selector("input[name=token]:focus")
    tab.keyboard.type(OPERATOR_TOKEN)
    tab.keyboard.press("Enter")
    tab.wait_for_selector("h1:has-text('Stacks')")
    yield tab
    context.close()


def _complaint(said: Any) -> str:
    return f"{said.text} ({said.location['url']})"


def test_no_page_runs_what_others_wrote_and_every_control_has_a_name(
    tab: Any, store: SqlStore, troubles: list[str], axe: Axe
) -> None:
    runs = put_fleet(store)
    for path in every_page(runs):
        tab.goto(path)
        tab.evaluate("document.querySelectorAll('details').forEach(it => it.open = true)")
        assert tab.evaluate(NAMELESS) == [], path
        # A narrow window never has to be moved sideways.
        assert tab.evaluate(WIDE) == [], path
        assert axe(tab) == [], path
    assert troubles == []


@pytest.fixture
def running(store: SqlStore) -> Run:
    run = a_run("production/web", status=RunStatus.PLANNING, phase=Phase.PLAN, attempt=1)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/web")])
        transaction.add_runs([run])
    return run


def test_a_run_is_followed_and_confirmed_while_one_looks_at_it(
    tab: Any, store: SqlStore, running: Run, troubles: list[str]
) -> None:
    LOG.extend(b"first\nsecond\n")
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url.partition("?")[0].rpartition("/")[2]))
    with tab.expect_response("**/live?*"):
        tab.goto(f"/runs/{running.id}")
    assert tab.locator(".line").count() == 2
    tab.evaluate("window.stays = true")
    LOG.extend(f"\x1b[31m{CANARY}\x1b[0m\nunfinished".encode())
    tab.wait_for_selector("#L3 .ansi-red")
    assert CANARY in tab.inner_text("#L3")
    assert tab.locator(".line").count() == 3
    waiting = running.evolve(status=RunStatus.UNCONFIRMED, reason="WaitsForConfirmation", message="2 changes")
    with store.writing() as transaction:
        transaction.put_run(waiting)
    tab.wait_for_selector("text=2 changes.")
    # Nobody asks by the clock, which three times a second would: only what has changed is asked for.
    tab.wait_for_timeout(1500)
    assert 2 <= asked.count("more") <= 5, asked
    # The end of a long log stays in sight, unless somebody looks at something further up.
    for further_up, number in ((False, 100), (True, 200)):
        if further_up:
            tab.evaluate("document.querySelector('.log').scrollTop = 0")
            tab.wait_for_timeout(100)
        LOG.extend(b"more\n" * 99 + b"line %d\n" % number)
        tab.wait_for_selector(f"text=line {number}")
        assert (tab.evaluate(BELOW) > 100) is further_up
    # The page is still the same one: nothing was loaded anew.
    assert tab.evaluate("window.stays") is True
    tab.get_by_role("button", name="Confirm").click()
    tab.wait_for_selector("text=operator has confirmed it")
    with store.reading() as reading:
        found = reading.run(running.id)
    assert found is not None
    assert found.confirmed_by == "operator"
    assert troubles == []


def test_a_page_without_a_stream_asks_by_the_clock(tab: Any, running: Run, troubles: list[str]) -> None:
    tab.route("**/live*", lambda route: route.fulfill(status=503))
    tab.goto(f"/runs/{running.id}")
    LOG.extend(b"polled\n")
    tab.wait_for_selector("text=polled")
    assert [each for each in troubles if "503" not in each] == []


def test_the_table_is_filtered_while_one_types(tab: Any, store: SqlStore, troubles: list[str]) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(f"production/s{number}") for number in range(3)])
    tab.goto("/stacks")
    assert tab.locator("#rows tbody tr").count() == 3
    tab.focus("input[name=q]")
    tab.keyboard.type("s1")
    tab.wait_for_selector("#rows tbody:not(:has(tr + tr))")
    tab.wait_for_url("**/stacks?q=s1")
    assert tab.evaluate("document.activeElement.name") == "q"
    tab.reload()
    assert (tab.input_value("input[name=q]"), tab.locator("#rows tbody tr").count()) == ("s1", 1)
    assert troubles == []


TOFU, BASE, DRIFTED = "/stacks/production/tofu", "/stacks/production/base", "/stacks/production/drifted"
LOCKING = {"Why": "moving the data", "For how long": "2h"}

ACTIONS: list[tuple[str, str, dict[str, str], str]] = [
    ("/", "Let it go on", {}, "body:not(:has-text('Let it go on'))"),
    ("/runs/{failed}", "Retry", {}, "button:text-is('Start first')"),
    ("", "Start first", {}, "main:not(:has-text('Start first'))"),
    ("", "Cancel", {}, "text=Canceled by operator"),
    (BASE, "Suspend", {}, "button:text-is('Resume')"),
    ("", "Resume", {}, "button:text-is('Suspend')"),
    ("", "Pin", {"At": "abcdef0"} | LOCKING, "h1:text-is('base')"),
    ("", "Lock", LOCKING, "dt:text-is('Locked') + dd:has-text('moving the data')"),
    ("", "Unlock", {}, "button:text-is('Run now')"),
    ("", "Run now", {}, "text=Requested by operator"),
    (DRIFTED, "Plan only", {}, "text=Plan requested by operator"),
    ("", "Cancel", {}, "text=Canceled by operator"),
    (DRIFTED, "Run the command", {"Command": "echo one\necho two"}, "h1:has-text('Task run')"),
    ("", "Cancel", {}, "text=Canceled by operator"),
    (DRIFTED, "Plan the destruction", {}, "h1:has-text('Destroy run')"),
    ("/stacks/production/pinned", "End the pin", {}, "h1:text-is('pinned')"),
    (TOFU, "Accept the drift", {}, "h1:has-text('Task run')"),
    ("", "Cancel", {}, "text=Canceled by operator"),
    (TOFU, "Check drift", {}, "h1:has-text('Drift run')"),
    ("", "Cancel", {}, "text=Canceled by operator"),
    ("/runs/{partly}", "Plan only these", {"Only these resources": "null.b"}, "text=null.b"),
    ("/stacks/production/gone", "Forget the stack", {}, "h1:text-is('Stacks')"),
    ("/runs/{waiting}", "Confirm and destroy", {}, "text=operator has confirmed it"),
    ("", "Discard", {}, "text=Discarded by operator"),
    ("/runs/{asked}", "Approve", {"Note": "good"}, "li:has-text('approves'):has-text('good')"),
    ("", "Reject", {"Note": "not on a Friday"}, "li:has-text('rejects'):has-text('not on a Friday')"),
    ("/runs/{frozen}", "Let it through the freeze", {}, "text=It goes on by itself"),
    ("/held/held-1", "Approve", {}, "text=approved"),
    ("/queue", "Drain", {}, "text=drained"),
    ("", "Let it start runs", {}, "button:text-is('Drain')"),
    ("/notifications", "Send again: run.failed to production/hook", {}, ".badge:text-is('waiting')"),
    ("/service", "Ask the doctor", {}, "h2:has-text('What the doctor finds')"),
    ("", "Sign out", {}, "input[name=token]"),
]
"""A page (empty: the one that is open), the button pressed there, what its form is filled with, what is seen then."""

ELSEWHERE = {
    "/sign-in": "the fixture of the tab",
    "/blueprints/*/*": "test_ordering.py",
    "/blueprints/*/*/order": "test_ordering.py",
}
"""What other tests press, and which."""


def test_every_action_of_the_page_is_pressed(
    tab: Any, ports: Ports, store: SqlStore, token_of: Callable[[str], str], troubles: list[str]
) -> None:
    runs = {name: run.id for name, run in put_everything(store).items()}
    pressed: list[str] = []
    for path, button, fields, then in ACTIONS:
        if path:
            tab.goto(path.format(**runs))
        tab.evaluate("document.querySelectorAll('details.fold').forEach(it => it.open = true)")
        by_name = tab.get_by_role("button", name=button, exact=True)
        form = tab.locator("form").filter(has=by_name).first
        for label, text in fields.items():
            form.get_by_label(label).fill(text)
        with tab.expect_response(lambda answer: answer.request.method == "POST") as answer:
            form.get_by_role("button", name=button, exact=True).click()
        pressed.append(urlsplit(answer.value.url).path)
        assert answer.value.status < HTTPStatus.BAD_REQUEST, tab.inner_text("main")
        tab.wait_for_selector(then)
    # The operator has signed out: no program can sign in as the operator.
    tab.fill("input[name=token]", token_of("rita"))
    tab.keyboard.press("Enter")
    tab.wait_for_selector("h1:has-text('Home')")
    _, login = device.ask(ports, "a laptop")
    tab.goto("/device")
    tab.get_by_label("The code that the program shows").fill(login.code.lower())
    tab.get_by_role("button", name="Go on").click()
    tab.get_by_role("button", name="Yes, sign it in").click()
    tab.wait_for_selector("text=The program is signed in as you")
    pressed.append(urlsplit(tab.url).path)
    assert troubles == []
    addresses = offered()
    assert {it for it in addresses if not any(fnmatchcase(path, it) for path in pressed)} == set(ELSEWHERE), pressed


def test_pages_can_be_read_and_used_without_javascript(chromium: Any, server: HttpServer, store: SqlStore) -> None:
    runs = put_fleet(store)
    context = chromium.new_context(base_url=server.url, java_script_enabled=False)
    tab = context.new_page()
    tab.goto("/sign-in")
    tab.fill("input[name=token]", OPERATOR_TOKEN)
    tab.press("input[name=token]", "Enter")
    tab.goto(f"/runs/{runs['waiting'].id}")
    tab.get_by_role("button", name="Discard").click()
    tab.wait_for_selector("text=Discarded by operator.")
    tab.goto("/stacks/production/base")
    tab.get_by_text("More actions").click()
    form = tab.get_by_label("Lock", exact=True)
    form.get_by_label("Why").fill("moving the data")
    form.get_by_role("button", name="Lock").click()
    tab.wait_for_selector("text=moving the data")
    tab.get_by_role("button", name="Unlock").click()
    tab.get_by_role("button", name="Run now").wait_for()
    context.close()
