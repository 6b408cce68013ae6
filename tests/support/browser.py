"""Pages in a real browser: the system's Chromium, which may request nothing but the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.soak import SOAK

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: The widths that pages are made for: a screen, and a phone.
WIDTHS = (1280, 390)

#: Opens a file at a width, and yields its page.
OpenPage = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests of a module."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(_BROWSERS)} is installed")
    with sync_api.sync_playwright() as playwright:
        # Containers often run as root, for which Chromium has no sandbox.
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> OpenPage:
    """Open files: `with open_page(path, width=390) as page`.

    The end of the block fails on an error in the console, and on a request for anything but the
    file.
    """

    @contextmanager
    def opened(path: Path, *, width: int = WIDTHS[0], dark: bool = False) -> Iterator[Any]:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
        )
        page = context.new_page()
        page.set_default_timeout(10_000)
        errors: list[str] = []
        requests: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda message: errors.append(message.text) if message.type != "log" else None,
        )
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        try:
            yield page
        finally:
            context.close()
        others = [
            url
            for url in requests
            if url.partition("#")[0] != path.as_uri() and not url.startswith("data:")
        ]
        assert (errors, others) == ([], [])

    return opened


def check_widths_and_colors(page: Any, *, is_short: bool = False) -> None:
    """Check a page on a screen and on a phone, light and dark: axe, and no scrolling sideways.

    :param page: the page.
    :param is_short: whether axe runs in the soak alone.
    """
    for width, scheme in zip(WIDTHS[::-1], ("dark", "light"), strict=True):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        # Each takes a second. Most rules do not depend on colors.
        if SOAK or (scheme == "light" and not is_short):
            rules = ["color-contrast"] if scheme == "dark" else None
            assert serious_violations(page, rules) == []


def serious_violations(page: Any, rules: list[str] | None = None) -> list[str]:
    """Return what axe finds that keeps some people from using a page: its rule and an element.

    :param page: the page.
    :param rules: the rules to check; None for all.
    """
    from axe_playwright_python.sync_playwright import Axe

    options = None if rules is None else {"runOnly": {"type": "rule", "values": rules}}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
