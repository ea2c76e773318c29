"""A client that speaks to an app without any socket."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import httpx
from starlette.types import ASGIApp

OPERATOR_TOKEN = "operator-token"


class Client:
    def __init__(self, app: ASGIApp, token: str | None = OPERATOR_TOKEN, host: str = "localhost") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url=f"http://{host}", headers=headers)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **options))

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.request("GET", path, params=params)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["items"]]
