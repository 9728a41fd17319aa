"""A real Chromium for the tests of the report page: Debian's, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

Open = Callable[..., "Page"]

PATIENCE_MS = 120_000
"""How long the browser may take for anything: other tests have the processors, too."""


# Not for the whole session: while Playwright runs, no other test of this process can use asyncio.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a module. Nothing is downloaded: the system's own is used."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(PROGRAMS)} is on PATH (apt install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"], timeout=PATIENCE_MS
        )
        yield browser
        browser.close()


def new_context(browser: Browser, *, width: int, **options: Any) -> BrowserContext:
    """A window of that width, with nothing in it of other tests."""
    context = browser.new_context(viewport={"width": width, "height": 800}, **options)
    context.set_default_timeout(PATIENCE_MS)
    return context


class Watch:
    """What a page asked for and complained about."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.messages: list[str] = []
        self.dialogs: list[str] = []

    def attach(self, page: Page) -> None:
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("dialog", self._refuse)

    def _refuse(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def open_page(chromium: Browser, tmp_path: Path, watch: Watch) -> Iterator[Open]:
    """Opens a page from its text: `open_page(html, width=390, scheme="dark", fragment="s7")`."""
    contexts = []

    def open_(html: str, *, width: int = 1280, scheme: Any = "light", fragment: str = "") -> Page:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        context = new_context(chromium, width=width, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        watch.attach(page)
        page.goto(path.as_uri() + (f"#{fragment}" if fragment else ""))
        return page

    yield open_
    for context in contexts:
        context.close()
