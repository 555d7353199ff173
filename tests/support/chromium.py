"""A real browser: Chromium without a window, steered by its own driver. Nothing is ever downloaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import Select, WebDriverWait

from . import require_program

_PATIENCE = 60.0  # seconds
_OPENER = """#!{python}
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
body = __import__("json").dumps({{"url": sys.argv[1]}}).encode()
opener.open(urllib.request.Request({session!r}, body, {{"Content-Type": "application/json"}}), timeout=60)
"""


class Chromium:
    """One window of the browser."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        # The page may change between two looks at it.
        gone = (NoSuchElementException, StaleElementReferenceException)
        self._wait = WebDriverWait(driver, _PATIENCE, ignored_exceptions=gone)

    def open(self, url: str) -> None:
        """Go to this address."""
        self.driver.get(url)

    def click(self, element: str) -> None:
        """Click on the element with this id, once it is there."""

        def click(driver: WebDriver) -> bool:
            driver.find_element(By.ID, element).click()
            return True

        self._wait.until(click, f"{element!r} never came")

    def shows(self, text: str) -> None:
        """Wait until the page shows this text."""

        def shown(_driver: WebDriver) -> bool:
            try:
                return text in self.text
            except WebDriverException as error:
                # What chromedriver says of a page that goes away under its look, beside the two usual errors.
                if "does not belong to the document" in str(error):
                    return False
                raise

        self._wait.until(shown, f"{text!r} never came")

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until this is so."""
        self._wait.until(lambda _driver: condition())

    def choose(self, element: str, value: str) -> None:
        """Choose what has this value in the list with this id."""
        Select(self.driver.find_element(By.ID, element)).select_by_value(value)

    @contextmanager
    def resized(self, width: int, height: int) -> Iterator[None]:
        """Inside, the page has so many CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._tell("Emulation.setDeviceMetricsOverride", **size)
        try:
            yield
        finally:
            self._tell("Emulation.clearDeviceMetricsOverride")

    @contextmanager
    def in_scheme(self, scheme: str) -> Iterator[None]:
        """Inside, the person prefers ``light`` or ``dark``."""
        wanted = {"name": "prefers-color-scheme", "value": scheme}
        self._tell("Emulation.setEmulatedMedia", features=[wanted])
        try:
            yield
        finally:
            self._tell("Emulation.setEmulatedMedia", features=[])

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(
            self.driver.execute_script(
                "const all = document.documentElement; return all.scrollWidth - all.clientWidth"
            )
        )

    def _tell(self, command: str, **values: object) -> None:
        self.driver.execute_cdp_cmd(command, values)

    @property
    def text(self) -> str:
        """What a person reads on the page."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    @property
    def language(self) -> str | None:
        """What the page says its language is."""
        return self.driver.find_element(By.TAG_NAME, "html").get_attribute("lang")

    def complaints(self) -> list[str]:
        """What the browser itself has found wrong with pages since it was last asked."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def starter(self, folder: Path) -> str:
        """A program for ``BROWSER`` that opens an address in this very window."""
        program = folder / "open-in-chromium"
        session = f"{self.driver.service.service_url}/session/{self.driver.session_id}/url"
        program.write_text(_OPENER.format(python=sys.executable, session=session), "utf-8")
        program.chmod(0o755)
        return str(program)


@contextmanager
def chromium(folder: Path) -> Iterator[Chromium]:
    """The browser, its profile in this folder. Skips where it is not installed, and fails in CI."""
    os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}
    options = ChromeOptions()
    options.binary_location = require_program("chromium", "chromium")
    service = Service(require_program("chromedriver", "chromium-driver"))
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        f"--user-data-dir={folder}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(_PATIENCE)
        yield Chromium(driver)
    finally:
        driver.quit()
