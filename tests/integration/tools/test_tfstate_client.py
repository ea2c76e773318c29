from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.tools.base import StepFailed, TfstateBackend
from reconciler.tools.tfstate_client import fetch, locked


def test_what_was_last_written_is_read(tfstate_server: Any) -> None:
    assert fetch(tfstate_server.backend) is None
    tfstate_server.tfstate = b"{}"
    assert fetch(tfstate_server.backend) == b"{}"


def test_a_service_that_is_being_restarted_is_waited_for(tfstate_server: Any) -> None:
    tfstate_server.tfstate, tfstate_server.refusals = b"{}", [503]
    assert fetch(tfstate_server.backend) == b"{}"


@pytest.mark.parametrize(("status", "patience"), [(500, 60.0), (503, 0.0)], ids=["broken", "away for too long"])
def test_an_answer_without_the_tfstate_is_a_failure(tfstate_server: Any, status: int, patience: float) -> None:
    tfstate_server.refusals = [status]
    with pytest.raises(StepFailed, match=f"HTTP status {status}"):
        fetch(tfstate_server.backend, patience)


def test_another_password_opens_nothing_and_is_not_told(tfstate_server: Any) -> None:
    with pytest.raises(StepFailed, match="HTTP status 401") as failed:
        fetch(replace(tfstate_server.backend, password="wrong-password"))
    assert "wrong-password" not in str(failed.value)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/", "https://127.0.0.1/", "/file"], ids=["nobody", "scheme", "path"]
)
def test_no_address_of_a_tfstate(address: str) -> None:
    with pytest.raises(StepFailed):
        fetch(TfstateBackend(address, "u", "p"))


def test_it_is_written_under_a_lock_that_nobody_else_gets(tfstate_server: Any) -> None:
    with locked(tfstate_server.backend, {"Who": "station"}) as store:
        store(b'{"a": 1}')
        assert tfstate_server.tfstate == b'{"a": 1}'
        with pytest.raises(StepFailed, match="locked by somebody else"), locked(tfstate_server.backend, {}):
            pass
    assert (tfstate_server.lock, tfstate_server.methods) == (None, ["LOCK", "POST", "LOCK", "UNLOCK"])
