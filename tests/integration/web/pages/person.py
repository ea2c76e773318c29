"""Somebody with a browser that knows no JavaScript: follows links, fills forms, keeps cookies."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, Self

import httpx
from starlette.types import ASGIApp

from tests.integration.web.client import OPERATOR_TOKEN, Client


class Page(HTMLParser):
    """What a browser would make of an answer: elements with their attributes, text, forms."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.status = answer.status_code
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.forms: dict[str, dict[str, str]] = {}
        """The fields of each form that posts, by where it leads."""
        self._form: dict[str, str] | None = None
        self._texts: list[str] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        if tag == "form" and found.get("method") == "post":
            self._form = self.forms.setdefault(found["action"], {})
        elif tag == "input" and self._form is not None and "name" in found:
            self._form[found["name"]] = found.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None

    def handle_data(self, data: str) -> None:
        self._texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    @property
    def links(self) -> list[str]:
        return [found["href"] for tag, found in self.elements if tag == "a" and "href" in found]


class Person:
    def __init__(self, app: ASGIApp, token: str = OPERATOR_TOKEN) -> None:
        self.client = Client(app, token=None)
        self._token = token

    def __enter__(self) -> Self:
        self.sign_in()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.__exit__()

    def sign_in(self, token: str = "") -> None:
        assert self.submit("/sign-in", {"token": token or self._token}).status == 303

    def see(self, path: str, **params: Any) -> Page:
        # Without parameters of its own: they would take the place of those in the path.
        return Page(self.client.request("GET", path, **({"params": params} if params else {})))

    def submit(self, path: str, fields: dict[str, str], **headers: str) -> Page:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Page(self.client.post(path, data=fields, headers=named))

    def press(self, page: Page, action: str, **fields: str) -> Page:
        """Send a form of a page, as its button does."""
        return self.submit(action, page.forms[action] | fields)
