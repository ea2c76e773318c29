"""The catalogue, the form of a blueprint with its preview, and what instances made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.core.orders import Order, Wanted
from reconciler.core.results import Output
from reconciler.refusals import OperationRefused, Refusal
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from spaces.names import Revision
from spaces.validate import examine_files
from tests.factories import NOW, a_stack, a_stack_id, record_results
from tests.integration.web.pages.person import Page, Person
from tests.integration.web.pages.test_pages import check_markup

_CANARY = "<script>alert(1)</script><img src=x onerror=alert(1)>"
_FILES = {
    "platform/space.yaml": "apiVersion: stationkeeper/v1\nkind: Space\nmetadata: {name: platform}\n",
    "platform/production/space.yaml": """\
apiVersion: stationkeeper/v1
kind: Space
metadata: {name: production}
spec: {inherit: true}
""",
    "platform/production/web.yaml": f"""\
apiVersion: stationkeeper/v1
kind: Blueprint
metadata: {{name: web, description: "A web service {_CANARY}"}}
spec:
  version: "2"
  inputs:
    - {{name: app, required: true, pattern: "[a-z]+", max: 12, description: "{_CANARY}"}}
    - {{name: size, type: select, options: [small, "{_CANARY}"], default: small}}
    - {{name: count, type: number, min: 1, max: 9, default: 2}}
    - {{name: public, type: boolean}}
    - {{name: motd, type: text}}
    - {{name: token, type: secret}}
  template:
    - kind: Stack
      metadata: {{name: "${{{{ inputs.app }}}}"}}
      spec:
        tool: script
        script: {{apply: "true"}}
        env: {{SIZE: "${{{{ inputs.size }}}}", MOTD: "${{{{ inputs.motd == null ? '-' : string(inputs.motd) }}}}"}}
""",
    "platform/production/shop.yaml": """\
apiVersion: stationkeeper/v1
kind: BlueprintInstance
metadata: {name: shop}
spec: {blueprint: web, version: "2", inputs: {app: shop, motd: "hello"}}
""",
}
for _file, _name in (("platform/base.yaml", "base"), ("far.yaml", "far")):
    _FILES[_file] = f"""\
apiVersion: stationkeeper/v1
kind: Blueprint
metadata: {{name: {_name}}}
spec:
  version: "1"
  inputs: [{{name: app}}]
  template: [{{kind: Stack, metadata: {{name: "${{{{ inputs.app }}}}"}}, spec: {{tool: script, script: {{apply: "true"}}}}}}]
"""
_WEB = "/blueprints/production/web"
COMMIT = Revision("c" * 40)


@pytest.fixture
def ports(ports: Ports, store: SqlStore) -> Ports:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/shop")])
        record_results(transaction, a_stack_id("production/shop"), [], [Output("url", _CANARY)])
    examined = examine_files({path: text.encode() for path, text in _FILES.items()})
    assert not examined.diagnostics, examined.diagnostics

    def order(wanted: Wanted) -> Order:
        if wanted.name == "refused":
            raise OperationRefused(Refusal.NOT_PUSHED, f"the Git server refuses the branch {_CANARY}")
        names = {"subject": str(wanted.subject), "space": wanted.space, "name": wanted.name, "file": f"{_CANARY}.yaml"}
        what = {"blueprint": wanted.blueprint, "version": wanted.version, "inputs": wanted.document["spec"]["inputs"]}
        branch, link = f"station/{_CANARY}", "https://git.example.com/merge"
        made = Order(commit=COMMIT, branch=branch, at=NOW, link=link, **names, **what)
        with store.writing() as transaction:
            transaction.put_order(made)
        return made

    return replace(ports, documents=lambda: examined.documents, order=order, orders_on=True)


def fill(person: Person, **inputs: str) -> Page:
    fields = {f"input.{name}": value for name, value in inputs.items()}
    return person.press(person.see(_WEB), f"{_WEB}#preview", name="chat", space="production", **fields)


def test_a_form_becomes_a_document_and_says_what_it_would_change(as_user: Callable[[str], Person]) -> None:
    rita = as_user("rita")
    assert _WEB in rita.see("/blueprints").links
    form = rita.see(_WEB)
    attributes = {
        found["name"]: found for tag, found in form.elements if tag in {"input", "select"} and "name" in found
    }
    assert ("required" in attributes["input.app"], attributes["input.app"]["maxlength"]) == (True, "12")
    assert [attributes["input.count"][name] for name in ("type", "min", "max", "value")] == [
        "number",
        "1.0",
        "9.0",
        "2",
    ]
    page = fill(rita, app="chat", size=_CANARY, count="3", public="true", motd="a\r\nb", token="file:key")
    assert page.status == 200, page.text
    check_markup(page)
    for words in (
        "create BlueprintInstance production/ chat held until somebody with blueprintInstance:create in production",
        "create Stack production/ chat held until somebody with stack:create in production",
        "platform/production/chat.yaml",
        "app: chat size: <script>",
        "count: 3 public: true motd: |- a b token: file: key",
        "git commit --gpg-sign --message 'Make chat by production/web'",
        "MOTD: |- a b",
    ):
        assert words in page.text, (words, page.text)
    # The form still holds what was filled in.
    assert next(found["value"] for tag, found in page.elements if found.get("name") == "input.app") == "chat"
    assert "held until" not in fill(as_user("wanda"), app="chat").text


def test_wrong_inputs_are_all_told_and_make_no_document(operator: Person) -> None:
    page = fill(operator, app="NOT fitting", count="many", size="huge")
    assert page.status == 422
    check_markup(page)
    for words in ("the input app", "the input count must be a number", "the input size", "not one of its options"):
        assert words in page.text, words
    assert "git switch" not in page.text
    assert "There is no space absent" in operator.press(
        operator.see(_WEB), f"{_WEB}#preview", name="x", space="absent"
    ).text.replace("there", "There")
    # Another one of the same stack, and the instance that is there already.
    assert "shop" in fill(operator, app="shop").text
    there = operator.press(
        operator.see(_WEB),
        f"{_WEB}#preview",
        name="shop",
        space="production",
        **{"input.app": "shop", "input.motd": "x"},
    )
    assert "update BlueprintInstance production/ shop" in there.text
    assert "platform/production/shop.yaml" in there.text
    assert operator.submit(_WEB, {"name": "x"}).status == 403


def test_an_instance_shows_what_it_made(operator: Person, as_user: Callable[[str], Person]) -> None:
    assert "/blueprints/instances/production/shop" in operator.see("/blueprints").links
    page = operator.see("/blueprints/instances/production/shop")
    check_markup(page)
    assert {"/stacks/production/shop", f"{_WEB}?version=2"} <= set(page.links)
    assert f"url {_CANARY}" in page.text
    nobody = as_user("nobody")
    for path in ("/blueprints/instances/production/shop", _WEB):
        assert nobody.see(path).status == 404
    assert "There is no blueprint that you may read" in nobody.see("/blueprints").text


def test_a_preview_becomes_an_order_and_says_what_comes_next(
    as_user: Callable[[str], Person], operator: Person
) -> None:
    wanda, order = as_user("wanda"), f"{_WEB}/order#preview"
    preview = fill(wanda, app="chat", motd="a\r\nb")
    made = wanda.press(preview, order)
    assert (made.status, made.answer.headers["location"]) == (303, f"/orders/{COMMIT}")
    page = wanda.see(f"/orders/{COMMIT}")
    check_markup(page)
    assert "https://git.example.com/merge" in page.links
    for words in ("waits for its merge", f"from station/ {_CANARY}", COMMIT, "by wanda"):
        assert words.replace(" ", "") in page.text.replace(" ", ""), (words, page.text)
    assert operator.see(f"/orders/{COMMIT}").status == 200
    assert as_user("nobody").see(f"/orders/{COMMIT}").status == 404
    # Nothing is ordered from another site's form, or without the right to it, which the page names.
    assert wanda.submit(f"{_WEB}/order", {"name": "chat"}).status == 403
    rita = as_user("rita")
    page = fill(rita, app="chat")
    assert order not in page.forms
    assert "To order it you need blueprintInstance:create in production" in page.text
    form = page.forms[f"{_WEB}#preview"]
    asked = form | {"name": "chat", "space": "production", "input.app": "chat"}
    assert rita.submit(f"{_WEB}/order", asked).status == 409


def test_a_blueprint_of_a_space_above_is_for_those_to_whom_it_flows(as_user: Callable[[str], Person]) -> None:
    wanda, base, far = as_user("wanda"), "/blueprints/platform/base", "/blueprints/root/far"
    links = wanda.see("/blueprints").links
    assert (base in links, far in links) == (True, False)
    page = wanda.see(base)
    # What she has no role in cannot be chosen.
    assert [found for tag, found in page.elements if tag == "option"] == [{"selected": ""}]
    preview = wanda.press(page, f"{base}#preview", name="chat", **{"input.app": "chat", "space": "production"})
    assert "create BlueprintInstance production/ chat allowed" in preview.text
    made = wanda.press(preview, f"{base}/order#preview")
    assert made.answer.headers["location"] == f"/orders/{COMMIT}"
    # Neither one that does not flow there, nor the space above itself.
    assert wanda.see(far).status == 404
    above = wanda.press(page, f"{base}#preview", name="chat", **{"input.app": "chat", "space": "platform"})
    assert "there is no space platform" in above.text.lower()
    assert as_user("nobody").see(base).status == 404


def test_what_cannot_be_pushed_is_said_beside_the_document(operator: Person) -> None:
    preview = operator.press(
        operator.see(_WEB), f"{_WEB}#preview", name="refused", space="production", **{"input.app": "chat"}
    )
    page = operator.press(preview, f"{_WEB}/order#preview")
    check_markup(page)
    assert page.status == 409
    assert f"The Git server refuses the branch {_CANARY}" in page.text
    assert "git push" in page.text
