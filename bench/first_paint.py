"""What `bench.pages` asks a real browser: how soon somebody sees the home page who has none of its files yet."""

from __future__ import annotations

import shutil
import statistics
from typing import NamedTuple

from fastapi import FastAPI
from playwright.sync_api import Browser, StorageState, sync_playwright

from reconciler.web.server import HttpServer

ROUNDS = 20
_PAINTED = "() => performance.getEntriesByName('first-contentful-paint').map(each => each.startTime)[0]"


class Painted(NamedTuple):
    """The milliseconds until Chromium shows the first content of a page, in the 95th percentile."""

    home: float
    sign_in: float
    """Of a page without any data: what the browser itself takes."""


def first_paint(app: FastAPI, token: str) -> Painted:
    """Open both pages in turns."""
    with HttpServer(app) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        signed_in = _sign_in(browser, server.url, token)
        home, bare = [], []
        for _ in range(ROUNDS + 1):
            home.append(_open(browser, server.url, "Home", signed_in))
            bare.append(_open(browser, server.url, "Sign in"))
        browser.close()
    return Painted(*(statistics.quantiles(taken[1:], n=20)[-1] for taken in (home, bare)))


def _sign_in(browser: Browser, url: str, token: str) -> StorageState:
    page = browser.new_page(base_url=url)
    page.goto("/sign-in")
    page.fill("input[name=token]", token)
    page.keyboard.press("Enter")
    page.wait_for_selector("nav")
    state = page.context.storage_state()
    page.context.close()
    return state


def _open(browser: Browser, url: str, title: str, signed_in: StorageState | None = None) -> float:
    """Open the first page in a context of its own, which has nothing in its cache."""
    with browser.new_context(base_url=url, storage_state=signed_in) as context:
        page = context.new_page()
        page.goto("/", wait_until="commit")
        painted = page.wait_for_function(_PAINTED).json_value()
        assert page.title().startswith(title), page.title()
        return float(painted)
