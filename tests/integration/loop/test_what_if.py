"""Who would have which access after a merge that nobody has made, as far as whoever asks may know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from rbac.access.subjects import Subject
from reconciler.loop.service import utc_now
from reconciler.metrics import Metrics
from reconciler.web.api_tokens import make_token
from tests.factories import later
from tests.integration.loop.access import Signed, a_binding
from tests.integration.loop.machine import Machine
from tests.integration.web.client import Client
from tests.integration.web.pages.person import Person
from tests.integration.web.warm import WarmApp
from tests.needs import needs

pytestmark = needs("ssh-keygen")


class Asker(Person):
    """Somebody who asks the page and the API."""

    def __init__(self, app: WarmApp, token: str) -> None:
        super().__init__(app, token)
        self.api = Client(app, token)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.api.__exit__()

    def ask(self, question: str, **params: Any) -> Any:
        answer = self.api.get(f"/api/v1/access/{question}", **params)
        return answer.json() if answer.status_code == 200 else answer.status_code


@pytest.fixture
def people(service: Machine, signed: Signed) -> Iterator[dict[str, Asker]]:
    """Ada, Carol and Bob, with branches that Ada and Eve have pushed."""
    for who, name in (("ada", "grants"), ("eve", "grabs")):
        signed.repo.git("checkout", "-q", "-b", name, "main")
        files = {
            "platform/new.yaml": a_binding("new", "operator", "carol"),
            "platform/team/new.yaml": a_binding("more", "admin", "bob"),
        }
        signed.commit(who, files)
    signed.repo.git("checkout", "-q", "main")
    app = WarmApp(replace(service.service.ports, metrics=Metrics()))
    with ExitStack() as stack:
        made = {}
        for name in ("ada", "bob", "carol"):
            with service.service.store.writing() as transaction:
                subject = Subject.parse(f"user:{name}")
                token, _ = make_token(transaction, subject, "operator", utc_now(), later(10**9))
            made[name] = stack.enter_context(Asker(app, token))
        yield made


def test_what_a_branch_would_give_is_told_to_those_who_read_bindings(people: dict[str, Asker]) -> None:
    ada, bob, carol = (people[name].ask for name in ("ada", "bob", "carol"))
    question = {"subject": "user:carol", "action": "run:confirm", "space": "platform"}
    assert ada("can", **question)["allowed"] is False
    told = ada("can", **question, ref="grants")
    assert (told["allowed"], "platform/new" in told["because"]) == (True, True)
    # What would be held gives nobody anything.
    assert ada("can", **question, ref="grabs")["allowed"] is False
    assert ada("can", **question, ref="nothing") == 422
    who = {"action": "run:confirm", "space": "platform", "ref": "grants"}
    assert "user:carol" in {each["subject"] for each in ada("who", **who)["items"]}
    assert {each["space"] for each in ada("of", subject="user:carol", ref="grants")["items"]} == {"platform", "team"}

    changes = [(each["subject"], each["space"], each["verb"]) for each in ada("changes", ref="grants")["items"]]
    assert {("user:carol", "platform", "gains"), ("user:bob", "team", "gains")} <= set(changes)
    # Carol reads the bindings of team alone.
    assert {each["space"] for each in carol("changes", ref="grants")["items"]} == {"team"}
    assert carol("can", **question, ref="grants") == 404
    assert bob("changes", ref="grabs") == {"items": [], "next": None}


def test_the_page_asks_it_too(people: dict[str, Asker]) -> None:
    page = people["ada"].see("/access?ask=changes&ref=grants")
    assert "user:carol gains" in page.text
    assert "platform/new" in page.text
    page = people["ada"].see("/access?ask=can&subject=user:carol&action=run:confirm&space=platform&ref=<script>")
    assert "script" not in {tag for tag, found in page.elements if "src" not in found}
    assert "no commit <script>" in page.text
