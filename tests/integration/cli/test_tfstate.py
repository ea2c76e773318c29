from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.store.sql import SqlStore
from reconciler.store.stored import TfstateLock
from tests.factories import NOW, a_stack, a_stack_id
from tests.integration.cli.conftest import Station

STACK = a_stack_id("production/network")
OLD = b'{"version": 4, "serial": 1, "lineage": "l", "exact": 1.50}\n'


@pytest.fixture
def kept(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(STACK)])
        transaction.add_tfstate(STACK, OLD, "run-1", NOW)


@pytest.mark.usefixtures("kept")
def test_a_tfstate_goes_out_and_comes_back_byte_by_byte(remote: Station, tmp_path: Path) -> None:
    assert remote("tfstate", "pull", "network").out.encode() == OLD
    file = tmp_path / "new.tfstate"
    file.write_bytes(OLD.replace(b'"serial": 1', b'"serial": 2'))
    pushed = remote("tfstate", "push", "network", file, "--note", "moved by hand", "-o", "json")
    assert (pushed.code, json.loads(pushed.out)["version"]) == (0, 2)
    assert remote("tfstate", "pull", "network").out.encode() == file.read_bytes()


def test_units_have_a_tfstate_each(remote: Station, store: SqlStore, tmp_path: Path) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(STACK)])
        transaction.add_tfstate(STACK, OLD, "run-1", NOW, unit="net/eu")
        transaction.lock_tfstate(TfstateLock(STACK, "l", {"Who": "ada"}, None, NOW, "net/eu"))
    assert remote("tfstate", "list", "network").out.splitlines()[1].endswith("net/eu")
    assert remote("tfstate", "pull", "network").err == (
        "error: the service keeps no tfstate of network, but of its units net/eu: name one with --unit\n"
    )
    assert remote("tfstate", "pull", "network", "--unit", "net/eu").out.encode() == OLD
    assert "held by" in remote("tfstate", "show", "network", "--unit", "net/eu").out
    file = tmp_path / "new.tfstate"
    file.write_bytes(OLD.replace(b'"serial": 1', b'"serial": 2'))
    refused = remote("tfstate", "push", "network", file, "--unit", "net/eu")
    assert "the tfstate of production/network, unit net/eu is locked by ada" in refused.err
    assert remote("tfstate", "unlock", "network", "--unit", "net/eu").out == (
        "lock l of network, which ada held is released\n"
    )
    assert remote("tfstate", "push", "network", file, "--unit", "net/eu").code == 0
    assert remote("tfstate", "rollback", "network", 1).code == 0
    with store.reading() as reading:
        assert [it.unit for it in reading.tfstate_versions(STACK, None, 9)] == ["net/eu"] * 3


@pytest.mark.usefixtures("kept")
def test_versions_are_listed_and_rolled_back(remote: Station) -> None:
    assert remote("tfstate", "rollback", "network", 1).out == (
        "version 2 is now the tfstate of network, with the content of version 1\n"
    )
    listed = remote("tfstate", "list", "production/network").out.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [["2", "2", "operator"], ["1", "1", "run-1"]]
    refused = remote("tfstate", "rollback", "network", 7)
    assert (refused.code, refused.err) == (
        1,
        "error: there is no version 7 of the tfstate of production/network here\n",
    )
    assert (
        remote("tfstate", "unlock", "network").err == "error: there is no lock on the tfstate of production/network\n"
    )
