from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from spaces.documents.tree import SpaceNode, SpaceTree
from spaces.names import ROOT, SpaceName
from tests.factories import NOW
from tests.integration.web.client import OPERATOR_TOKEN, Client
from tests.integration.web.warm import WarmApp

KEYS = Keys([b"k" * 32])


@pytest.fixture(scope="session")
def blank_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables in it: a copy of it is there sooner than a new one."""
    path = tmp_path_factory.mktemp("blank") / "station.db"
    open_store(f"sqlite:///{path}", KEYS).close()
    return path


@pytest.fixture
def store(tmp_path: Path, blank_database: Path) -> Iterator[SqlStore]:
    shutil.copy(blank_database, tmp_path / "station.db")
    store = open_store(f"sqlite:///{tmp_path / 'station.db'}", KEYS)
    yield store
    store.close()


@pytest.fixture
def tree() -> SpaceTree:
    platform, production = SpaceName("platform"), SpaceName("production")
    return SpaceTree.build({platform: SpaceNode(ROOT), production: SpaceNode(platform, inherit=True)})


@pytest.fixture
def woken() -> list[bool]:
    return []


@pytest.fixture
def access(tree: SpaceTree) -> Access:
    """The access rules of nobody: only the operator may do anything."""
    return Access.compile(AccessDocuments(), tree, (), NOW)


@pytest.fixture
def ports(store: SqlStore, tree: SpaceTree, access: Access, woken: list[bool]) -> Ports:
    return Ports(
        store=store,
        operator_token=OPERATOR_TOKEN,
        tree=lambda: tree,
        access=lambda: access,
        effective=lambda stack: None,
        live_log=lambda run, offset, limit: None,
        wake=lambda: woken.append(True),
        now=lambda: NOW,
    )


@pytest.fixture
def app(ports: Ports) -> WarmApp:
    return WarmApp(ports)


@pytest.fixture
def client(app: WarmApp) -> Iterator[Client]:
    with Client(app) as client:
        yield client


@pytest.fixture
def server(app: WarmApp) -> Iterator[HttpServer]:
    with HttpServer(app) as server:
        yield server
