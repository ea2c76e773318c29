"""A log line on its way to whoever follows a run: from the tool of a real run to the API's stream and to an open page.

A service of its own runs a `script` stack whose tool prints the time, again and again. The figures are the difference
to the time at which a line arrives, also beside 1,000 other streams.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright

from bench.harness import Figure, Limit
from bench.repositories import Repository
from bench.served import Served, served
from bench.streams import follow

STREAMS, LINES = 1000, 60
_PRINT = "while :; do for pause in 0.05 0.31 0.43 0.12 0.27; do date '+printed at %s%N.'; sleep $pause; done; done"
"""What the tool does until it is stopped. The pauses fall anywhere between two looks of the service."""
_STACK = (
    "apiVersion: stationkeeper/v1\nkind: Stack\nmetadata: {name: clock}\n"
    f"spec: {{tool: script, script: {{apply: {json.dumps(_PRINT)}}}}}\n"
)
_PRINTED = re.compile(r"printed at (\d{19})\.")
_WATCH = """() => {
  window.taken = [];
  new MutationObserver((found) => {
    const now = Date.now();
    for (const node of found.flatMap((each) => [...each.addedNodes]))
      for (const [, at] of (node.textContent || "").matchAll(/printed at (\\d{19})\\./g)) taken.push(now - at / 1e6);
  }).observe(document.body, {childList: true, subtree: true});
}"""
"""Notes for every line that the page adds how many milliseconds ago it was printed."""


def measure(scratch: Path) -> Iterator[Figure]:
    """Follow one run by the API's stream and by a page in Chromium, at the same time."""
    repository = Repository.create(scratch / "config.git")
    repository.commit({"clock.yaml": _STACK.encode()})
    with (
        served(repository.url, scratch / "data", scratch) as service,
        ExitStack() as closing,
        sync_playwright() as playwright,
    ):
        run = _started(service)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(base_url=service.url)
        page.goto("/sign-in")
        page.fill("input[name=token]", service.token)
        page.keyboard.press("Enter")
        page.wait_for_selector("nav")
        with page.expect_response("**/live?*"):
            page.goto(f"/runs/{run}")
        page.evaluate(_WATCH)
        stream = _Stream(service, run)
        yield from _figures("", page, stream)
        host, port = service.url.removeprefix("http://").split(":")
        for _ in range(STREAMS):
            follow(closing, (host, int(port)), "/api/v1/events", service.token).recv(4096)
        yield from _figures(", beside 1,000", page, stream)
        browser.close()
        _end(service, run)


class _Stream(threading.Thread):
    """Follows the log of a run by the API's stream, in a thread, from its present end on."""

    def __init__(self, service: Served, run: str) -> None:
        super().__init__(daemon=True)
        self._path = f"{service.url}/api/v1/runs/{run}/log/events"
        self._headers = {"Authorization": f"Bearer {service.token}"}
        self.taken: list[float] = []
        """How many milliseconds ago each line was printed that has come."""
        self.start()

    def run(self) -> None:
        """Read until the run ends."""
        known = 0
        with httpx.stream("GET", self._path, headers=self._headers, timeout=60) as answer:
            for line in answer.iter_lines():
                now = time.time_ns()
                found = _PRINTED.findall(line)
                # The first event is all that was there before.
                self.taken += [(now - int(at)) / 1e6 for at in found] if known else []
                known += len(found)


def _figures(how: str, page: Page, stream: _Stream) -> Iterator[Figure]:
    page.evaluate("taken.length = 0")
    stream.taken.clear()
    page.wait_for_function("most => taken.length >= most", arg=LINES, timeout=120_000)
    on_page = page.evaluate("taken")
    for name, taken in (("on a stream", list(stream.taken)), ("on an open page", on_page)):
        p95, longest = statistics.quantiles(taken, n=20)[-1], max(taken)
        yield Figure(f"a log line {name}{how}", p95, "ms", longest, "p95; the longest", 500, Limit.AT_MOST)


def _started(service: Served) -> str:
    """Return the run once its tool prints."""
    while True:
        for run in _ask(service, "GET", "")["items"]:
            if _PRINTED.search(_ask(service, "GET", f"/{run['id']}/log")["text"]):
                return str(run["id"])
        time.sleep(0.1)


def _end(service: Served, run: str) -> None:
    """Cancel the run and wait for its end: it would outlive the service."""
    _ask(service, "POST", f"/{run}/cancel")
    while _ask(service, "GET", f"/{run}")["status"] == "applying":
        time.sleep(0.1)


def _ask(service: Served, method: str, path: str) -> Any:
    headers = {"Authorization": f"Bearer {service.token}"}
    answer = httpx.request(method, f"{service.url}/api/v1/runs{path}", headers=headers, timeout=30)
    return answer.raise_for_status().json()
