"""A real headless Chromium, driven by Playwright, with axe for accessibility. The browser is the machine's own."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

__all__ = ["BrowserUnavailable", "Window", "chromium", "ensure_chromium", "open_window"]

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
QUIET = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
"""So that it talks to nobody but the page, and is content without a screen."""
PATIENCE_MS = 20_000
"""How long what is expected may take: the page asks the broker about consumers every five seconds."""
SIZES: dict[str, tuple[int, int]] = {"desk": (1280, 860), "phone": (360, 740)}


class BrowserUnavailable(Exception):
    """No Chromium can be had here; the text says why."""


def ensure_chromium() -> str:
    """Return the path of a Chromium on this machine."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise BrowserUnavailable("Chromium is not on this machine; Debian's package is chromium")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a running browser."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has none for root
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=ensure_chromium(), args=[*QUIET, *sandbox])
        yield browser
        browser.close()


class Window:
    """A window of the browser, and everything that went wrong in it.

    Attributes
    ----------
    page
        What is shown.
    complaints
        Errors and warnings on its console, failures of its scripts, and dialogs that were opened.
    asked
        Addresses that it asked for.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda said: self._note(f"{said.type}: {said.text}") if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self._note(f"script: {error}"))
        page.on("dialog", lambda dialog: (self._note(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, complaint: str) -> None:
        self.complaints.append(complaint)

    def violations(self) -> list[str]:
        """Return what axe finds against WCAG 2.2 AA and good practice, one line each."""
        self.page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
        found: dict[str, Any] = self.page.evaluate("axe.run()")
        return [f"{each['id']}: {each['help']}: {node['html'][:200]}" for each in found["violations"] for node in each["nodes"]]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        wider: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return wider

    def keep(self, name: str, folder: Path) -> Path:
        """Keep a picture of the whole page, also where TOM_BRIDGE_SCREENSHOTS says."""
        path = Path(os.environ.get("TOM_BRIDGE_SCREENSHOTS", folder)) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, full_page=True)
        return path


@contextmanager
def open_window(
    browser: Browser, address: str, *, size: str = "desk", scheme: Literal["light", "dark"] = "light"
) -> Iterator[Window]:
    """Yield a window that shows an address."""
    width, height = SIZES[size]
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
    context.set_default_timeout(PATIENCE_MS)
    window = Window(context.new_page())
    window.page.goto(address)
    yield window
    context.close()
