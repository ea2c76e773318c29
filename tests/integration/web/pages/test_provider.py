"""Signing in with an identity provider on loopback, which checks codes and signs tokens for real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from joserfc.jwk import OctKey, RSAKey

from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from reconciler.metrics import Metrics
from reconciler.store.sql import SqlStore
from reconciler.web.issuers import Issuers, fetch_json
from reconciler.web.ports import Ports
from reconciler.web.provider import OidcProvider
from tests.integration.web.pages.person import Page, Person
from tests.integration.web.warm import WarmApp
from tests.tools.provider import IdentityProvider, follow
from tests.unit.spaces.builders import begin, doc, many, space

CALLBACK = "https://station.example.com/sign-in/callback"
ADA = {"email": "Ada@Example.org", "email_verified": True, "groups": ["Team Web", "others"]}
DOCUMENTS = many(
    space("production"),
    doc("User", "ada", {"emails": ["ada@example.org"]}),
    doc("User", "bob", {"emails": ["bob@example.org"]}),
    doc("Group", "web", {"idpGroups": ["Team Web"]}),
    doc("RoleBinding", "web", {"role": "reader", "subjects": [{"group": "web"}]}, space="production"),
)

Stranger = Callable[[WarmApp], Person]


@pytest.fixture
def idp() -> Iterator[IdentityProvider]:
    with IdentityProvider("station", "a secret/with: signs", CALLBACK, dict(ADA)) as idp:
        yield idp


@pytest.fixture
def mine(ports: Ports, idp: IdentityProvider) -> Ports:
    documents = begin({"a.yaml": DOCUMENTS}).documents
    now = datetime.now(UTC)
    access = Access.compile(AccessDocuments.of(documents), documents.tree, (), now)
    issuers = Issuers(partial(fetch_json, here=True))
    secret = lambda: "a secret/with: signs"  # noqa: E731
    provider = OidcProvider(idp.issuer, "station", CALLBACK, issuers, secret, here=True)
    documented = replace(ports, documents=lambda: documents, tree=lambda: documents.tree, access=lambda: access)
    return replace(documented, provider=provider, now=lambda: datetime.now(UTC))


@pytest.fixture
def person(mine: Ports, stranger: Stranger) -> Person:
    return stranger(WarmApp(mine))


def question(person: Person, there: str = "/stacks?q=web") -> str:
    """Go to the provider, and return the path to which it leads back."""
    answer = person.see("/sign-in/provider", next=there).answer
    assert answer.status_code == 303
    return follow(answer.headers["location"])


def come_back(person: Person, path: str) -> Page:
    return person.see(path)


def test_people_sign_in_and_have_the_rights_of_their_groups(
    person: Person, store: SqlStore, idp: IdentityProvider
) -> None:
    assert any(link.startswith("/sign-in/provider?") for link in person.see("/sign-in").links)
    back = question(person)
    page = come_back(person, back)
    assert (page.status, page.links) == (200, ["/stacks?q=web"])
    leads = [found["content"] for _, found in page.elements if found.get("http-equiv") == "refresh"]
    assert leads == ["0; url=/stacks?q=web"], "a mere reload would bring the answer of the provider twice"
    cookies = page.answer.headers.get_list("set-cookie")
    assert any("station-session=" in cookie and "SameSite=strict" in cookie for cookie in cookies)
    home = person.see("/access?ask=can&subject=user:ada&action=stack:read&space=production")
    assert home.status == 200
    assert "through group web" in home.text
    (token,) = _tokens(store)
    assert (token.subject, token.name, token.idp_groups) == ("user:ada", "sign-in", ("Team Web", "others"))
    assert come_back(person, back).status == 401, "a question is good once"
    assert idp.given[0] not in str(_tokens(store))
    form = person.see("/").forms["/sign-out"]
    assert person.submit("/sign-out", form).status == 303
    assert _tokens(store) == [], "what stood for the sign-in is gone with it"


def _tokens(store: SqlStore) -> list[Any]:
    with store.reading() as reading:
        return reading.api_tokens()


OTHER = RSAKey.generate_key(2048, {"kid": "first"})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lies": {"aud": "another"}}, "another audience"),
        ({"lies": {"aud": ["station", "another"]}}, "another authorized party"),
        ({"lies": {"azp": "another"}}, "another authorized party"),
        ({"lies": {"iss": "https://evil.example.com"}}, "another issuer"),
        ({"lies": {"nonce": "another"}}, "another nonce"),
        ({"lies": {"nonce": None}}, "another nonce"),
        ({"lies": {"exp": 1_000_000_000}}, "it is dead"),
        ({"lies": {"iat": 9_000_000_000}}, "from the future"),
        ({"header": {"kid": "second"}}, "its key is none that"),
        (
            {"header": {"alg": "HS256"}, "key": OctKey.import_key("the public key as a password")},
            "its algorithm is none",
        ),
        ({"key": OTHER}, "its signature is wrong"),
        ({"who": {"email": "ada@example.org"}}, "has not verified your address"),
        ({"who": {"email": "ada@example.org", "email_verified": "true"}}, "has not verified your address"),
        ({"who": {"email": "eve@example.org", "email_verified": True}}, "no User document has the email eve"),
        ({"who": {}}, "does not say who you are"),
        ({"client_secret": "changed"}, "invalid_client"),
    ],
)
def test_whatever_does_not_fit_signs_nobody_in(
    person: Person, store: SqlStore, idp: IdentityProvider, change: dict[str, Any], told: str
) -> None:
    for name, value in change.items():
        setattr(idp, name, value)
    page = come_back(person, question(person))
    assert page.status == 401
    assert told in page.text
    assert _tokens(store) == []
    assert person.see("/").status == 303


def test_an_answer_for_another_browser_or_a_forged_one_counts_for_nothing(
    mine: Ports, person: Person, stranger: Stranger, store: SqlStore
) -> None:
    back = question(person)
    assert "begun elsewhere" in come_back(stranger(WarmApp(replace(mine, metrics=Metrics()))), back).text
    assert "another window" in come_back(person, back.replace("state=", "state=x")).text
    back = question(person)
    assert "another provider answers" in come_back(person, back.replace("iss=http", "iss=evil")).text
    question(person)
    page = come_back(person, "/sign-in/callback?error=access_denied&state=x&error_description=%1b[31m")
    assert page.status == 401
    assert "\x1b" not in page.answer.text
    assert _tokens(store) == []


@pytest.mark.parametrize("there", ["//evil.example.com", "https://evil.example.com", "/\\evil.example.com"])
def test_nobody_is_led_elsewhere(person: Person, there: str) -> None:
    assert come_back(person, question(person, there)).links == ["/"]
