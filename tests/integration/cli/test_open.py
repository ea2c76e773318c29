from __future__ import annotations

from reconciler.store.sql import SqlStore
from reconciler.web.server import HttpServer
from tests.factories import a_stack
from tests.integration.cli.conftest import Station


def test_the_address_of_the_page_is_printed(remote: Station, server: HttpServer, store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/network")])
    assert remote("open").out == f"{server.url}/\n"
    assert remote("open", "network").out == f"{server.url}/stacks/production/network\n"
    named = server.url.replace("http://", "http://me:secret@")
    assert remote("open", "--url", named).out == f"{server.url}/\n"
    absent = remote("open", "production/absent")
    assert (absent.code, absent.out) == (1, "")
    assert "there is no stack production/absent" in absent.err


def test_without_a_service_there_is_no_page(station: Station, tmp_path: object) -> None:
    result = station("open", "--data-dir", tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "start it with station serve" in result.err
