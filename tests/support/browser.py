"""Pages in a real browser: the system's Chromium, which may request a file or one server alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.soak import SOAK

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: What Chromium writes into the console for an answer such as 401, and for a server that is gone.
_ERROR_ANSWER = "Failed to load resource: "
#: The widths that pages are made for: a screen, and a phone.
WIDTHS = (1280, 390)

#: Opens a file, or a page of a server, at a width, and yields its page.
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

    def opened(path: Path, *, width: int = WIDTHS[0], dark: bool = False) -> Any:
        url = path.as_uri()
        return _watched(browser, url, lambda other: other == url, width=width, dark=dark)

    return opened


@pytest.fixture
def open_site(browser: Any) -> OpenPage:
    """Open pages of a server: `with open_site(url, width=390) as page`.

    The end of the block fails on an error in the console, unless an answer of the server is the
    error, and on a request to another host.
    """

    def opened(url: str, *, width: int = WIDTHS[0], dark: bool = False) -> Any:
        origin = "/".join(url.split("/", 3)[:3]) + "/"
        return _watched(
            browser, url, lambda other: other.startswith(origin), width=width, dark=dark
        )

    return opened


@contextmanager
def _watched(
    browser: Any, url: str, is_allowed: Callable[[str], bool], *, width: int, dark: bool
) -> Iterator[Any]:
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
    page.goto(url)
    try:
        yield page
    finally:
        context.close()
    errors = [error for error in errors if not error.startswith(_ERROR_ANSWER)]
    others = [
        url
        for url in requests
        if not is_allowed(url.partition("#")[0]) and not url.startswith("data:")
    ]
    assert (errors, others) == ([], [])


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
