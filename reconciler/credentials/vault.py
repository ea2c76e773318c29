"""Reads secrets of a run from Vault or OpenBao, with the run's own token and none of the service's.

A reader is made for one leg of a run. It logs in at the first secret, reads each path once, and revokes what it got.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.credentials.errors import SecretUnreadable

if TYPE_CHECKING:
    import httpx

SECONDS = 20.0
"""How long one answer may take, all of it."""
_LONGEST = 1024 * 1024


@dataclass(slots=True)
class VaultReader:
    """Reads from one Vault as one role. `address` has no slash at its end."""

    address: str
    mount: str
    role: str
    token: str = field(repr=False)
    _login: str | None = field(default=None, repr=False)
    _read: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def value(self, reference: str) -> str:
        """Return the value at `path#key`; SecretUnreadable says why it cannot be had, without any value."""
        path, _, key = reference.partition("#")
        found = self._read.get(path)
        if found is None:
            answer = self._ask("GET", path, None, self._client_token())
            data = answer.get("data")
            # The second version of the key/value store wraps what it keeps.
            if isinstance(data, dict) and isinstance(data.get("data"), dict) and "metadata" in data:
                data = data["data"]
            if not isinstance(data, dict):
                raise SecretUnreadable(f"{self.address} has no data at {path}")
            found = self._read[path] = data
        value = found.get(key)
        if value is None:
            raise SecretUnreadable(f"{self.address} has no key {key} at {path}")
        return value if isinstance(value, str) else json.dumps(value)

    def close(self) -> None:
        """Revoke the token that Vault gave, as far as that can be done."""
        if self._login is not None:
            login, self._login = self._login, None
            try:
                self._ask("POST", "auth/token/revoke-self", {}, login)
            except SecretUnreadable:
                return

    def _client_token(self) -> str:
        if self._login is None:
            answer = self._ask("POST", f"auth/{self.mount}/login", {"role": self.role, "jwt": self.token}, None)
            auth = answer.get("auth")
            login = auth.get("client_token") if isinstance(auth, dict) else None
            if not isinstance(login, str):
                raise SecretUnreadable(f"{self.address} gives no token for the role {self.role}")
            self._login = login
        return self._login

    def _ask(self, method: str, path: str, body: Any, login: str | None) -> dict[str, Any]:
        import httpx  # noqa: PLC0415 - few stacks have such secrets

        headers = {"X-Vault-Request": "true", **({"X-Vault-Token": login} if login is not None else {})}
        url, what = f"{self.address}/v1/{path}", f"{self.address} (auth/{self.mount}, role {self.role}), {path}"
        try:
            answer, text = asyncio.run(_answered(httpx.Request(method, url, json=body, headers=headers)))
        except (TimeoutError, httpx.TimeoutException):
            raise SecretUnreadable(f"{what}: the answer takes longer than {SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SecretUnreadable(f"{what}: {type(error).__name__}: {str(error)[:200]}") from None
        if len(text) > _LONGEST:
            raise SecretUnreadable(f"{what}: the answer is longer than {_LONGEST} bytes")
        if answer.is_redirect:
            raise SecretUnreadable(f"{what}: it answers with a redirect, which is not followed")
        if answer.status_code == 204:
            return {}
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if answer.status_code != 200:
            errors = found.get("errors") if isinstance(found, dict) else None
            why = f": {'; '.join(map(str, errors))[:200]}" if isinstance(errors, list) and errors else ""
            raise SecretUnreadable(f"{what}: it answers {answer.status_code}{why}")
        if not isinstance(found, dict):
            raise SecretUnreadable(f"{what}: the answer is no JSON object")
        return found


async def _answered(request: httpx.Request) -> tuple[httpx.Response, bytes]:
    """Return the answer and its body, of which no more is read than says that it is too long; TimeoutError when late.

    The time counts for everything together. A limit for each read alone would never end an answer that comes in drops.
    """
    import httpx  # noqa: PLC0415 - few stacks have such secrets

    body = b""
    async with asyncio.timeout(SECONDS), httpx.AsyncClient(timeout=SECONDS, follow_redirects=False) as client:
        answer = await client.send(request, stream=True)
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > _LONGEST:
                break
        await answer.aclose()
    return answer, body
