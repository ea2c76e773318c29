"""Makes pictures of the page from the demo's data: `make screenshots`.

Every main page, light and dark, at 1440 and 400 pixels, goes into a directory. With `--docs` the few that the
documentation shows are made anew, too. It needs Chromium and the extra `check`.
"""

# ruff: noqa: INP001

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
WIDTHS = (1440, 400)
SCHEMES = ("light", "dark")
SHOWN = {"home-light": ("home", "light", 620), "run-dark": ("run", "dark", 940), "stack-light": ("stack", "light", 760)}
"""The pictures of the documentation: the page, its colours, and the height in pixels."""

STATION = (sys.executable, "-m", "reconciler")


def main() -> None:
    """Play the demo, serve its data, and take the pictures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--to", type=Path, default=Path("screenshots"), help="the directory for all pictures")
    options.add_argument("--docs", action="store_true", help="also write the pictures of the documentation")
    wanted = options.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("chromium is not installed (apt install chromium)")
    wanted.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="station-screenshots-") as scratch:
        directory = Path(scratch, "demo")
        subprocess.run([*STATION, "demo", "--directory", str(directory)], check=True, stdout=subprocess.DEVNULL)
        with _served(directory) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            token = (directory / "data" / "token").read_text(encoding="ascii").strip()
            _shoot_all(browser, url, token, wanted.to)
            if wanted.docs:
                _shoot_shown(browser, url, token)
            browser.close()


@contextlib.contextmanager
def _served(directory: Path) -> Iterator[str]:
    """Serve the demo's data, and give the address."""
    settings = {
        "STATION_CONFIG_URL": (directory / "repository").as_uri(),
        "STATION_DATA_DIR": str(directory / "data"),
        "STATION_ADMINS": "ada",
        "STATION_REQUIRE_SANDBOX": "false",
        "STATION_LISTEN": "127.0.0.1:0",
    }
    with subprocess.Popen(
        [*STATION, "serve"], env=os.environ | settings, stderr=subprocess.PIPE, text=True, cwd=directory
    ) as service:
        try:
            for line in service.stderr or ():
                found = re.search(r"listening on (\S+);", line)
                if found:
                    yield found[1]
                    break
            else:
                raise SystemExit("the service did not start")
        finally:
            service.terminate()
            service.communicate()


def _paths(url: str, token: str) -> dict[str, str]:
    def run(status: str) -> str:
        answer = httpx.get(
            f"{url}/api/v1/runs", params={"status": status}, headers={"Authorization": f"Bearer {token}"}
        )
        return f"/runs/{answer.json()['items'][0]['id']}"

    return {
        "home": "/",
        "stacks": "/stacks",
        "stack": "/stacks/shop/web",
        "explain": "/stacks/shop/web/explain",
        "runs": "/runs",
        "run": run("unconfirmed"),
        "denied": run("failed"),
        "resources": "/resources",
        "groups": "/resources?group=type",
        "notifications": "/notifications",
        "held": "/held",
        "blueprints": "/blueprints",
        "blueprint": "/blueprints/platform/service",
        "queue": "/queue",
        "revisions": "/revisions",
        "audit": "/audit",
        "service": "/service",
        "access": "/access?ask=of&subject=user:bob",
    }


@contextlib.contextmanager
def _tab(browser: Browser, url: str, token: str, **options: Any) -> Iterator[Page]:
    """Give a tab in which the operator is signed in."""
    context = browser.new_context(base_url=url, **options)
    tab = context.new_page()
    tab.goto("/sign-in")
    tab.fill("input[name=token]", token)
    tab.press("input[name=token]", "Enter")
    tab.wait_for_selector("#home")
    yield tab
    context.close()


def _shoot_all(browser: Browser, url: str, token: str, to: Path) -> None:
    for scheme in SCHEMES:
        for width in WIDTHS:
            view = {"width": width, "height": 900}
            with _tab(browser, url, token, viewport=view, color_scheme=scheme) as tab:
                for name, path in _paths(url, token).items():
                    tab.goto(path)
                    tab.screenshot(path=to / f"{name}-{scheme}-{width}.png", full_page=True)
                    wide = tab.evaluate("document.documentElement.scrollWidth")
                    if wide > width:
                        sys.exit(f"{path} is {wide} pixels wide in a window of {width}")


def _shoot_shown(browser: Browser, url: str, token: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    for name, (page, scheme, height) in SHOWN.items():
        view = {"width": 1240, "height": height}
        with _tab(browser, url, token, viewport=view, color_scheme=scheme) as tab:
            tab.goto(_paths(url, token)[page])
            tab.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
