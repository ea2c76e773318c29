"""Every request that the API's description allows, and many that it does not: no failure, and nothing undescribed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.store.sql import SqlStore
from tests.integration.web.client import Client
from tests.integration.web.pages.fleet import put_fleet

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed (pip install schemathesis)")

_EXAMPLES = 60
_PREFIX = "/api/v1"
_GUARD = {400, 413, 421}
"""What stands in front of the API may answer for it: to a NUL, a body that is too long, an unknown host."""


def _operations(document: dict[str, Any]) -> list[Any]:
    schema = schemathesis.openapi.from_dict(document)
    found = (each.ok() for each in schema.get_all_operations())
    # The tfstate backend and what needs no token have rules of their own, and streams do not end.
    ours = [each for each in found if each.path.startswith(f"{_PREFIX}/") and "/tfstate/" not in each.path]
    return [each for each in ours if not each.path.endswith("/events")]


def test_no_request_fails_and_every_answer_is_described(client: Client, store: SqlStore) -> None:
    put_fleet(store)
    document = client.get(f"{_PREFIX}/openapi.json").json()
    operations = _operations(document)
    assert len(operations) > 60

    @settings(max_examples=_EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(st.one_of([operation.as_strategy() for operation in operations]))
    def ask(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url="http://localhost")
        sent.pop("cookies", None)
        answer = client.request(sent.pop("method"), sent.pop("url"), **_for_httpx(sent))
        described = document["paths"][case.operation.path][case.method.lower()]["responses"]
        assert answer.status_code < 500, (case.method, case.operation.path, sent)
        if answer.status_code in _GUARD:
            return
        assert str(answer.status_code) in described, (case.method, case.operation.path, answer.status_code)
        kind = answer.headers.get("content-type", "").partition(";")[0]
        assert kind in described[str(answer.status_code)].get("content", {kind: None}), (case.operation.path, kind)

    ask()


def _for_httpx(sent: dict[str, Any]) -> dict[str, Any]:
    """Return what `requests` would take as `httpx` takes it; the token stays the client's."""
    if isinstance(sent.get("data"), str | bytes):
        sent["content"] = sent.pop("data")
    sent["headers"] = {name: value for name, value in (sent.get("headers") or {}).items() if name != "Authorization"}
    return sent
