"""Fixtures of the services' tests that need no Serve."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.data.videos import write
from tests.services.fake import listening, make_service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DESK = {"width": 1280, "height": 900}


@pytest.fixture
def service(tmp_path):
    """A gateway over a fake backend, with a store `clips`."""
    return make_service(tmp_path, stores={"clips": str(tmp_path)})


@pytest.fixture
def address(service):
    """Where it listens."""
    with listening(service) as url:
        yield url


@pytest.fixture
def video(tmp_path):
    """A video of 1.5 s, 96 x 64."""
    return write(tmp_path / "clip.mp4", count=24, fps=16, size=(64, 96))


@pytest.fixture(scope="module")
def browser():
    """Chromium with a camera that shows a moving pattern. A page may use it once its context has the permission."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    options = ["--use-fake-device-for-media-stream", *(["--no-sandbox"] if os.getuid() == 0 else [])]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, address, service):
    """Opens the page with the token, in a context with these options. Its pages ask nobody but the service.

    page.faults: errors in its console.
    """
    contexts, asked = [], []

    def opened(token: bool = True, **options):
        context = browser.new_context(**{"viewport": DESK, **options})
        contexts.append(context)
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/#token={service.token}" if token else address)
        if token:
            page.wait_for_selector("#model option:nth-child(2)", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []
