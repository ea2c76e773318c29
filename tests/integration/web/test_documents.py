"""The documents in force are listed to whoever may read them."""

from __future__ import annotations

from collections.abc import Callable

from spaces.validate import examine_files
from tests.integration.web.client import Client
from tests.integration.web.test_access import access, as_user, tree  # noqa: F401 - fixtures

FILES = {
    "platform/space.yaml": "apiVersion: stationkeeper/v1\nkind: Space\nmetadata: {name: platform}\n",
    "platform/production/space.yaml": "apiVersion: stationkeeper/v1\nkind: Space\nmetadata: {name: production}\n",
    "platform/production/common.yaml": (
        "apiVersion: stationkeeper/v1\nkind: Context\nmetadata: {name: common, labels: {tier: web}}\n"
        "spec: {env: {TOKEN: {file: token}}}\n"
    ),
    "platform/base.yaml": "apiVersion: stationkeeper/v1\nkind: Context\nmetadata: {name: base}\nspec: {env: {A: b}}\n",
}


def test_documents_are_listed_without_what_one_may_not_read(as_user: Callable[..., Client]) -> None:  # noqa: F811
    documents = examine_files({path: text.encode() for path, text in FILES.items()}).documents

    def listed(name: str, **asked: str) -> list[str]:
        answer = as_user(name, documents=lambda: documents).get("/api/v1/documents", **{"kind": "Context", **asked})
        assert answer.status_code == 200, answer.text
        return [f"{each['space']}/{each['name']} {each['file']}" for each in answer.json()["items"]]

    common, base = "production/common platform/production/common.yaml", "platform/base platform/base.yaml"
    assert listed("all") == [base, common]
    assert listed("all", limit="1") == [base]
    assert listed("rita") == [common]
    assert listed("nobody") == listed("rita", kind="User") == []
    assert as_user("rita").get("/api/v1/documents", kind="Castle").status_code == 422
