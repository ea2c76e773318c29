"""From the form of a blueprint to a merged commit, in a real browser, with a whole service and a bare repository."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.metrics import Metrics
from reconciler.web.server import HttpServer
from tests.e2e.station import Repo, document
from tests.integration.loop import conftest as loop
from tests.integration.loop.machine import Machine
from tests.integration.web.pages.browser import Axe
from tests.integration.web.warm import WarmApp
from tests.needs import needs

pytestmark = [needs("chromium"), pytest.mark.slow]

new_machine = loop.new_machine

STACK = {
    "kind": "Stack",
    "metadata": {"name": "${{ inputs.app }}"},
    "spec": {"tool": "script", "script": {"apply": "true", "outputs": 'echo \'{"url": "https://shop.example"}\''}},
}
FILES = {
    "team/space.yaml": document("Space", "team", {}),
    "team/web.yaml": document(
        "Blueprint", "web", {"version": "1", "inputs": [{"name": "app", "required": True}], "template": [STACK]}
    ),
}


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    repo = Repo(tmp_path / "work")
    repo.commit(FILES)
    subprocess.run(["git", "clone", "-q", "--bare", repo.path, tmp_path / "bare.git"], check=True)
    return tmp_path / "bare.git"


@pytest.fixture
def machine(new_machine: Callable[..., Machine], bare: Path) -> Iterator[Machine]:
    machine = new_machine(bare.as_uri())
    machine.reconcile()
    return machine


def test_somebody_orders_and_sees_what_was_made(machine: Machine, bare: Path, chromium: Any, axe: Axe) -> None:
    ports = replace(machine.service.ports, metrics=Metrics())
    with HttpServer(WarmApp(ports)) as server:
        tab = chromium.new_context(base_url=server.url).new_page()
        tab.set_default_timeout(20_000)
        tab.goto("/sign-in")
        assert axe(tab) == []
        tab.fill("input[name=token]", ports.operator_token)
        tab.keyboard.press("Enter")
        tab.get_by_role("link", name="Blueprints").click()
        tab.get_by_role("link", name="web").first.click()
        tab.get_by_label("Name of the instance").fill("shop")
        tab.get_by_label("app").fill("shop")
        assert axe(tab) == []
        tab.get_by_role("button", name="Preview").click()
        tab.get_by_role("button", name="Commit it on a branch").wait_for()
        assert axe(tab) == []
        tab.get_by_role("button", name="Commit it on a branch").click()
        tab.get_by_text("waits for its merge").wait_for()
        assert axe(tab) == []
        branch = tab.locator("dt:text-is('Branch') + dd").inner_text()
        subprocess.run(["git", "update-ref", "refs/heads/main", f"refs/heads/{branch}"], cwd=bare, check=True)
        machine.reconcile()
        # The page says so by itself.
        tab.get_by_role("link", name="See its stacks and outputs").click()
        tab.get_by_text("https://shop.example", exact=True).wait_for()
        assert axe(tab) == []
        tab.context.close()
