"""The web inbox in a real browser: what a person sees, clicks and types, and what a message cannot do."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from oauth_mailer.sandbox import Sandbox, known_steps
from tests.cli.program import run
from tests.sandbox.mails import PIXEL, by_gmail, by_smtp, mail
from tests.support.chromium import Chromium, chromium

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Chromium as Debian packages it")

HTML = '<h1>Hello Ann</h1><p>Your parcel is <a href="https://example.com/">on its way</a>.</p>'


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


@pytest.fixture
def page(window: Chromium, sandbox: Sandbox) -> Iterator[Chromium]:
    """The inbox of this sandbox, which the browser has nothing to complain of so far."""
    window.open("about:blank")
    window.complaints()
    with window.resized(1280, 800):
        window.open(sandbox.inbox_url)
        window.shows("Live")
        yield window


def element(page: Chromium, selector: str) -> WebElement:
    return page.driver.find_element(By.CSS_SELECTOR, selector)


def texts(page: Chromium, selector: str) -> list[str]:
    return [one.text for one in page.driver.find_elements(By.CSS_SELECTOR, selector)]


def press(page: Chromium, *keys: str) -> None:
    """Type, wherever the focus is."""
    for key in keys:
        page.driver.switch_to.active_element.send_keys(key)


def focused(page: Chromium) -> str:
    return page.driver.switch_to.active_element.text


def framed(page: Chromium) -> str:
    """What stands in the frame, once it is there."""
    page.wait_until(lambda: page.driver.find_elements(By.TAG_NAME, "iframe"))
    page.driver.switch_to.frame(element(page, "iframe"))
    try:
        page.wait_until(lambda: page.text)
        return page.text
    finally:
        page.driver.switch_to.default_content()


class Elsewhere:
    """A server that a message would like to reach: how many connections did, and what was asked for."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.place = f"127.0.0.1:{listener.getsockname()[1]}"
        self.connections = 0
        self.paths: list[str] = []

    def serve(self) -> None:
        """Until the listener is closed."""
        with suppress(OSError):
            while True:
                connection, _address = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # A browser also opens connections that it never uses.
        with connection, suppress(OSError, IndexError):
            connection.settimeout(60)
            self.paths.append(connection.recv(4096).decode("latin-1").split()[1])
            head = f"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {len(PIXEL)}\r\n"
            connection.sendall(f"{head}Connection: close\r\n\r\n".encode() + PIXEL)


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Elsewhere(listener)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(30)


def test_what_arrives_appears_by_itself(page: Chromium, sandbox: Sandbox) -> None:
    page.shows("Waiting for the first message")
    assert f"{sandbox.smtp.host}:{sandbox.smtp.port}" in page.text
    assert sandbox.gmail_endpoint in page.text
    by_smtp(sandbox, mail(Subject="First & <b>foremost</b>"), to=("ann@example.com", "boss@example.com"))
    page.shows("First & <b>foremost</b>")
    by_gmail(sandbox, mail(From="Me <me@gmail.com>", Subject="第二封"))
    page.shows("第二封")
    second, first = texts(page, "#list li")
    assert "Me <me@gmail.com>" in second
    assert "Gmail" in second
    assert "Bcc 1" in first
    assert "SMTP" in first
    assert page.driver.title == "(2) Sandbox inbox"
    assert element(page, "#said").get_attribute("textContent") == "From Me <me@gmail.com>: 第二封"

    page.click("open-clear")
    page.click("clear-now")
    page.shows("Messages: 0")
    assert sandbox.messages == []
    assert page.driver.title == "Sandbox inbox"
    assert page.complaints() == []


def test_a_message_is_read_in_seven_ways(page: Chromium, sandbox: Sandbox) -> None:
    message = mail("Hello in text\n", HTML + '<img src="cid:logo" alt="Logo" id="logo"><img src="data:,x">')
    message.get_payload()[1].add_related(PIXEL, "image", "png", cid="<logo>")  # type: ignore[index, union-attr]
    message.add_attachment(b"%PDF", "application", "pdf", filename="报告.pdf")
    by_smtp(sandbox, message, to=("ann@example.com", "boss@example.com"))
    page.shows("Messages: 1")
    element(page, "#list a").click()
    page.shows("logged in as me@qq.com")
    assert texts(page, ".head .recipient") == ["ann@example.com", "boss@example.comBcc"]
    assert "Hello Ann" in framed(page)
    page.driver.switch_to.frame(element(page, "iframe"))
    page.wait_until(lambda: element(page, "#logo").get_property("naturalWidth") == 1)
    assert page.driver.execute_script("return self.origin") == "null"
    page.driver.switch_to.default_content()

    page.click("tab-phone")
    page.shows("Hello Ann Your parcel is on its way")
    assert element(page, "iframe").size["width"] == 375
    page.click("tab-text")
    page.shows("Hello in text")
    page.click("tab-headers")
    page.shows("multipart/mixed")
    page.click("tab-source")
    page.shows("Content-Disposition: attachment")
    page.click("tab-attachments")
    page.shows("报告.pdf")
    assert len(texts(page, ".files li")) == 2
    page.click("tab-check")
    page.shows("Images without alt: 1 of 2.")
    assert "https://example.com/" in page.text
    # What was chosen stays, and the address leads back to the message.
    page.driver.refresh()
    page.shows("logged in as")
    assert page.complaints() == []


def test_a_script_in_a_message_does_not_run_and_nothing_is_fetched(page: Chromium, sandbox: Sandbox) -> None:
    with elsewhere() as server:
        place = server.place
        html = f"""<!doctype html><html><head><link rel="stylesheet" href="http://{place}/style">
        <link rel="preconnect" href="http://{place}"><link rel="prefetch" href="http://{place}/prefetch">
        <meta http-equiv="refresh" content="0;url=http://{place}/refresh">
        <style>@import "http://{place}/import"; @font-face {{ font-family: f; src: url(http://{place}/font) }}
        p {{ font-family: f; background: url(http://{place}/css) }}</style></head>
        <body background="http://{place}/background" onload="document.title='ran'">
        <script>document.body.textContent = 'ran'; fetch('http://{place}/fetch')</script>
        <img src="http://{place}/image" alt="" onerror="document.body.textContent = 'ran'">
        <img srcset="http://{place}/srcset 1x" alt=""><iframe src="http://{place}/frame"></iframe>
        <object data="http://{place}/object"></object><embed src="http://{place}/embed">
        <video poster="http://{place}/poster" src="http://{place}/video" autoplay></video>
        <svg><image href="http://{place}/svg"/></svg><p>Still here</p>
        <a href="javascript:document.body.textContent='ran'" id="run">Run</a>
        <form action="http://{place}/form"><button id="send">Send</button></form></body></html>"""
        by_smtp(sandbox, mail("Text", html))
        page.shows("Messages: 1")
        element(page, "#list a").click()
        assert "Still here" in framed(page)
        page.driver.switch_to.frame(element(page, "iframe"))
        element(page, "#run").click()
        element(page, "#send").click()
        page.driver.switch_to.default_content()
        page.click("tab-phone")
        assert "Still here" in framed(page)
        page.click("tab-html")
        page.shows("Images from elsewhere that are not loaded: 7")
        # Also where it stands alone, without the frame that holds it.
        here = page.driver.current_url
        page.open(str(element(page, "iframe").get_attribute("src")))
        page.shows("Still here")
        assert "ran" not in (page.driver.title, page.text)
        page.open(here)
        page.driver.refresh()
        page.shows("Images from elsewhere that are not loaded")
        assert (server.connections, server.paths) == (0, [])
        assert page.driver.title == "Sandbox inbox"

        # With images is what a person decides; the rest stays out.
        page.click("load-remote")
        page.shows("Images from elsewhere are loaded")
        page.wait_until(lambda: len(set(server.paths)) >= 6)
        assert "Still here" in framed(page)
    assert set(server.paths) == {"/image", "/srcset", "/background", "/css", "/poster", "/svg"}


def test_another_site_can_neither_read_nor_clear_nor_change_it(page: Chromium, sandbox: Sandbox) -> None:
    by_smtp(sandbox, mail(Subject="Private"))
    url = sandbox.inbox_url
    # The same machine by another name, so another site, as any page on the internet is one.
    page.open(url.replace("127.0.0.1", "localhost"))
    page.shows("Live")
    attack = """
        const [url, done] = arguments;
        const json = {"Content-Type": "application/json"};
        const plan = JSON.stringify({smtp: "451"});
        const tried = [
          fetch(url + "api/messages"),
          fetch(url + "api/messages", {method: "DELETE"}),
          fetch(url + "api/plan", {method: "POST", body: plan, headers: {"Content-Type": "text/plain"}}),
          fetch(url + "api/plan", {method: "POST", body: plan, headers: json}),
          fetch(url + "api/plan", {method: "POST", body: plan, mode: "no-cors"}),
        ];
        Promise.allSettled(tried).then((all) => done(all.map((one) => one.status + (one.value?.type ?? ""))));
    """
    page.open(f"{url.replace('127.0.0.1', 'localhost')}api/log")  # a page whose own policy is not in the way
    found = page.driver.execute_async_script(attack, url)
    assert found[:4] == ["rejected"] * 4
    assert found[4] in ("rejected", "fulfilledopaque")
    assert [one.account for one in sandbox.messages] == ["me@qq.com"]
    page.open(url)
    page.shows("Private")
    assert element(page, "#faults-on").is_displayed() is False


def test_all_can_be_done_by_keys(page: Chromium, sandbox: Sandbox) -> None:
    by_smtp(sandbox, *(mail(f"Text {n}\n", HTML, Subject=f"Message {n}") for n in range(3)))
    page.shows("Messages: 3")
    body = element(page, "body")
    body.send_keys("j")
    assert "Message 2" in focused(page)
    press(page, Keys.ARROW_DOWN, "j", "j")
    assert "Message 0" in focused(page)
    press(page, "k", Keys.ENTER)
    page.shows("logged in as")
    assert element(page, "#subject").text == "Message 1"
    assert element(page, "#list [aria-current] .subject").text == "Message 1"
    press(page, "3")
    page.shows("Text 1")
    assert element(page, "[role=tab][aria-selected=true]").text == "Text"
    element(page, "#tab-text").send_keys(Keys.ARROW_RIGHT)
    page.shows("MIME-Version")
    assert focused(page) == "Headers"
    press(page, "j")  # from what is read, the next is read
    page.wait_until(lambda: element(page, "#subject").text == "Message 0")
    press(page, Keys.ESCAPE)
    page.shows("No message is open")
    assert "Message" in focused(page)

    press(page, "/")
    press(page, "message 2")
    page.shows("Found: 1 of 3")
    assert len(texts(page, "#list li")) == 1
    press(page, "x")
    page.shows("Nothing here has all of these words.")
    press(page, Keys.ESCAPE)
    page.shows("Messages: 3")
    assert "Message" in focused(page)

    press(page, "?")
    page.shows("next, previous message")
    press(page, Keys.ESCAPE)
    page.wait_until(lambda: not page.driver.find_elements(By.CSS_SELECTOR, "dialog[open]"))
    press(page, "f")
    page.shows("What becomes of the next attempts")
    assert page.complaints() == []


def test_a_fault_is_switched_on_and_the_next_send_meets_it(
    page: Chromium, sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "a long enough passphrase")
    server = sandbox.smtp
    done = run(
        *("login", "me@qq.com", "--code-stdin", "--host", server.host, "--smtp-port", str(server.port)),
        *("--ca-file", str(server.ca_file)),
        stdin=sandbox.code.encode(),
    )
    assert done.code == 0, done.err
    page.click("open-faults")
    page.shows("All is well.")
    page.choose("step-smtp", "drop-after-dot")
    assert known_steps()["smtp"]["drop-after-dot"] in page.text
    element(page, "#plan-smtp .picking button").click()
    page.choose("step-smtp", "451")
    element(page, "#plan-smtp .picking button").click()
    assert texts(page, "#plan-smtp .chip code") == ["drop-after-dot", "451"]
    element(page, "#plan-smtp .chip button").click()  # the first is taken out again
    page.shows("Not applied yet.")
    assert not element(page, "#faults-on").is_displayed()
    # What applies it is in sight without scrolling, wherever the panel stands.
    below = "return arguments[0].getBoundingClientRect().bottom <= innerHeight"
    assert page.driver.execute_script(below, element(page, "#apply"))
    page.click("apply")
    page.shows("Applied. The next attempt meets it.")
    page.shows("on: 1")

    send = (
        "send",
        "--from",
        "me@qq.com",
        "--to",
        "ann@example.com",
        "--subject",
        "Tried",
        "--text",
        "x",
        "--json",
    )
    refused = run(*send)
    assert (refused.code, refused.json["status"]) == (75, "not_sent")
    page.shows("451 DT:SPM")  # in what happened
    page.wait_until(lambda: not element(page, "#faults-on").is_displayed())
    assert texts(page, "#plan-smtp .plan") == ["All is well."]
    page.choose("step-smtp", "drop-after-dot")
    element(page, "#plan-smtp .picking button").click()
    page.click("apply")
    page.shows("on: 1")
    assert run(*send).json["status"] == "unknown"
    page.shows("me@qq.com · no answer")
    press(page, Keys.ESCAPE)
    page.shows("Messages: 1")
    assert page.complaints() == []


def test_it_is_in_chinese_for_a_chinese_user(
    window: Chromium, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_LANG", "zh_CN")
    window.open(sandbox.inbox_url)
    window.wait_until(lambda: element(window, "#live").get_attribute("data-state") == "live")
    assert window.language == "zh-CN"
    window.click("open-faults")
    step = element(window, "#step-smtp option[value='drop-after-dot']").get_attribute("textContent")
    assert step == f"drop-after-dot — {known_steps()['smtp']['drop-after-dot']}"
    assert any("\u4e00" <= letter <= "\u9fff" for letter in str(step))


@pytest.mark.parametrize("width", [360, 640, 1280])  # a phone; a usual screen at 200 %; a usual screen
def test_it_is_usable_at_every_width(page: Chromium, sandbox: Sandbox, width: int) -> None:
    by_smtp(
        sandbox,
        mail("x" * 400, HTML + "<p>" + "w" * 500, Subject="s" * 300, From="A" * 200 + " <me@qq.com>"),
        to=tuple(f"{'p' * 50}{n}@example.com" for n in range(30)),
    )
    page.shows("Messages: 1")
    with page.resized(width, 700):
        assert page.overflow() == 0
        element(page, "#list a").click()
        page.shows("logged in as")
        for tab in ("html", "phone", "text", "headers", "source", "attachments", "check"):
            page.click(f"tab-{tab}")
            assert page.overflow() == 0, tab
        back = element(page, ".back")
        assert back.is_displayed() == (width < 800)
        if width < 800:
            assert not element(page, "#list").is_displayed()
            back.click()
            page.wait_until(lambda: element(page, "#list").is_displayed())
        page.click("open-faults")
        page.shows("What becomes of the next attempts")
        assert page.overflow() == 0
        press(page, Keys.ESCAPE)


NAMELESS = """
    const named = (one) => one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length
        || one.title || document.getElementById(one.getAttribute("aria-labelledby"))?.textContent;
    const wanted = "a, button, input, select, textarea, iframe, dialog, section, article, meter, [role]";
    return [...document.querySelectorAll(wanted)].filter((one) => !named(one) && one.role !== "tabpanel"
        && one.getAttribute("role") !== "status").map((one) => one.outerHTML.slice(0, 120));
"""
BROKEN_REFERENCES = """
    const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
    const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
    const named = ["aria-labelledby", "aria-controls", "for"].flatMap((name) =>
        [...document.querySelectorAll(`[${name}]`)].map((one) => one.getAttribute(name)));
    return [...twice, ...named.filter((id) => !document.getElementById(id))];
"""
CONTRAST = """
    const light = (colour) => {
        const [r, g, b] = colour.map((part) => part / 255).map((part) =>
            part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const parts = (text) => text.match(/[\\d.]+/g).map(Number);
    const behind = (one) => {
        for (; one; one = one.parentElement) {
            const [r, g, b, a = 1] = parts(getComputedStyle(one).backgroundColor);
            if (a > .5) return [r, g, b];
        }
        return [255, 255, 255];
    };
    const found = [];
    for (const one of document.querySelectorAll("body *")) {
        const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!own || one.disabled || !one.checkVisibility() || one.closest(".unseen, option")) continue;
        const [dark, bright] = [light(parts(getComputedStyle(one).color).slice(0, 3)), light(behind(one))]
            .sort((a, b) => a - b);
        const ratio = (bright + .05) / (dark + .05);
        if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${one.className} ${one.textContent.slice(0, 40)}`);
    }
    return found;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_whoever_cannot_see_it_well_can_use_it(page: Chromium, sandbox: Sandbox, scheme: str) -> None:
    message = mail(None, HTML + "<img src='http://127.0.0.1:1/'><a href=''>x</a>", Precedence="bulk")
    message.add_attachment(b"x", "text", "plain", filename="a.txt")
    by_smtp(sandbox, message, to=("ann@example.com", "boss@example.com"))
    by_gmail(sandbox, mail(From="me@gmail.com", Subject=""))
    page.shows("Messages: 2")
    with page.in_scheme(scheme):

        def look() -> None:
            for check in (NAMELESS, BROKEN_REFERENCES, CONTRAST):
                assert page.driver.execute_script(check) == []

        look()
        page.driver.find_elements(By.CSS_SELECTOR, "#list a")[1].click()
        page.shows("logged in as")
        for tab in ("html", "phone", "text", "headers", "attachments", "check"):
            page.click(f"tab-{tab}")
            look()
        landmarks = {one.tag_name for one in page.driver.find_elements(By.CSS_SELECTOR, "body > *")}
        assert {"header", "main"} <= landmarks
        assert len(page.driver.find_elements(By.TAG_NAME, "h1")) == 1
        for name in ("faults", "keys", "clear"):
            page.click(f"open-{name}")
            page.wait_until(element(page, f"#{name}").is_displayed)
            look()
            press(page, Keys.ESCAPE)
            page.wait_until(lambda: not page.driver.find_elements(By.CSS_SELECTOR, "dialog[open]"))
            assert page.driver.switch_to.active_element.get_attribute("id") == f"open-{name}"
