from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from rbac.access.subjects import Subject
from reconciler.metrics import Metrics
from reconciler.store.sql import SqlStore
from reconciler.web.api_tokens import make_token
from reconciler.web.ports import Ports
from spaces.documents.tree import SpaceTree
from spaces.model.people import UserSpec
from spaces.model.role import RoleBindingSpec
from spaces.names import Kind, ResourceRef, SpaceName
from tests.factories import NOW, later
from tests.integration.web.pages import browser
from tests.integration.web.pages.person import Person
from tests.integration.web.warm import WarmApp

chromium, axe = browser.chromium, browser.axe

ROLES = {"rita": "reader", "otto": "operator", "wanda": "writer"}
"""What people may do in production, and nowhere else."""


@pytest.fixture
def access(tree: SpaceTree) -> Access:
    bindings = {
        ResourceRef(Kind.ROLE_BINDING, SpaceName("production"), name): RoleBindingSpec.model_validate(
            {"role": role, "subjects": [{"user": name}]}
        )
        for name, role in ROLES.items()
    }
    users = {name: UserSpec() for name in (*ROLES, "nobody")}
    return Access.compile(AccessDocuments(users=users, bindings=bindings), tree, (), NOW)


@pytest.fixture
def token_of(store: SqlStore) -> Callable[[str], str]:
    def token(name: str) -> str:
        with store.writing() as transaction:
            text, _ = make_token(transaction, Subject.parse(f"user:{name}"), "operator", NOW, later(3600))
        return text

    return token


@pytest.fixture
def as_user(ports: Ports, token_of: Callable[[str], str]) -> Iterator[Callable[[str], Person]]:
    """Give somebody who is signed in."""
    app = WarmApp(replace(ports, metrics=Metrics()))
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(Person(app, token_of(name)))


@pytest.fixture
def stranger() -> Iterator[Callable[[WarmApp], Person]]:
    """Give somebody who has not signed in."""
    with ExitStack() as stack:

        def person(app: WarmApp) -> Person:
            made = Person(app)
            stack.callback(made.__exit__)
            return made

        yield person


@pytest.fixture
def operator(app: WarmApp) -> Iterator[Person]:
    with Person(app) as person:
        yield person
