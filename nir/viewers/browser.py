"""A browser without a window, for measuring and testing viewers; optional.

Needs Chromium, its driver and the Python package selenium. `why_absent` says what is missing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from nir.errors import InputError

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # for root, as in containers
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",  # drawn by the CPU: the same everywhere
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def why_absent() -> str:
    """What is missing for a headless browser; "" if nothing is."""
    if importlib.util.find_spec("selenium") is None:
        return "the Python package selenium is not installed"
    if not any(map(shutil.which, BROWSERS)):
        return "Chromium is not installed"
    if not shutil.which("chromedriver"):
        return "chromedriver is not installed"
    return ""


@contextlib.contextmanager
def browser(flags: Sequence[str] = FLAGS, *, size: tuple[int, int] = (1200, 800)) -> Iterator[Any]:
    """A running headless Chromium (selenium's driver) that ends with the block."""
    if reason := why_absent():
        raise InputError(f"no headless browser: {reason}")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    for flag in (*flags, f"--window-size={size[0]},{size[1]}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()
