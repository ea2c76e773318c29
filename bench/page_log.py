"""A log line on an open page: from the byte in the file to the text in Chromium, also beside 1,000 other streams."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from bench.harness import Figure, Limit
from bench.streams import follow, served

STREAMS, LINES = 1000, 20


def measure(scratch: Path) -> Iterator[Figure]:
    """Write lines one after the other, each at another moment between two looks of the service."""
    with (
        served(scratch, pages=True) as (server, run, log, token),
        ExitStack() as closing,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(base_url=server.url)
        page.goto("/sign-in")
        page.fill("input[name=token]", token)
        page.keyboard.press("Enter")
        page.wait_for_selector("nav")
        page.goto(f"/runs/{run}")
        page.wait_for_timeout(1000)
        yield _figure("a log line on an open page", page, log)
        address = server.url.removeprefix("http://").split(":")
        for _ in range(STREAMS):
            client = follow(closing, (address[0], int(address[1])), "/api/v1/events")
            client.recv(4096)
        yield _figure("the same beside 1,000 streams", page, log)
        browser.close()


def _figure(name: str, page: Page, log: bytearray) -> Figure:
    taken = []
    for number in range(LINES):
        time.sleep(0.3 + number * 0.037 % 0.2)
        mark = f"{name} {number}."
        sent = time.perf_counter()
        log.extend(f"{mark}\n".encode())
        page.wait_for_function("mark => document.querySelector('.lines').textContent.includes(mark)", arg=mark)
        taken.append(time.perf_counter() - sent)
    return Figure(name, statistics.quantiles(taken, n=20)[-1] * 1e3, "ms", None, "p95", 500, Limit.AT_MOST)
