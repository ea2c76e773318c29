"""A real browser, and what axe says of the pages in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.needs import need

Axe = Callable[[Any], list[str]]
"""Says where the page of a tab falls short of what people need who cannot see, or see little: in both palettes."""

_ALL = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_RUN = "async options => (await axe.run(document, options)).violations"
_CONTRAST = {"runOnly": ["color-contrast"]}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    # For one module at a time: while it is there, no other event loop can be run.
    need("chromium")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> Axe:
    checker = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def check(tab: Any) -> list[str]:
        told = []
        tab.evaluate(checker.axe_script)
        for scheme, options in (("light", _ALL), ("dark", _CONTRAST)):
            tab.emulate_media(color_scheme=scheme)
            found = tab.evaluate(_RUN, {**options, "resultTypes": ["violations"]})
            nodes = ((each["id"], node) for each in found for node in each["nodes"])
            told += [f"{scheme}: {rule}: {node['html'][:200]}: {node['failureSummary']}" for rule, node in nodes]
        tab.emulate_media(color_scheme="light")
        return told

    return check
