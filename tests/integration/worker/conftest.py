from __future__ import annotations

from tests.integration.web import conftest as web
from tests.integration.web import test_runner

blank_database, store, tree, woken, access = web.blank_database, web.store, web.tree, web.woken, web.access
ports, app, server = web.ports, web.app, web.server
engine, with_pools = test_runner.engine, test_runner.ports
