"""The program's login at a certified authority that is not ours, in a real browser, and a mail by it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from tests.cli.google_login import PASSPHRASE, Login
from tests.cli.program import run
from tests.support import certificates
from tests.support.chromium import chromium
from tests.support.oidc_mailboxes import ME, Mailboxes
from tests.support.oidc_provider import APP, AuthorizationServer

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Chromium as Debian packages it")


def test_a_person_consents_in_chromium_and_the_program_sends(
    authority: AuthorizationServer, mailboxes: Mailboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    server = (
        "--host",
        f"localhost:{mailboxes.port}",
        "--security",
        "tls",
        "--ca-file",
        certificates.ca_file(),
    )
    with chromium(tmp_path / "profile") as browser:
        words = (ME, "--provider", "outlook", "--client-id", APP, *server)
        with Login(*words, env={"BROWSER": browser.starter(tmp_path)}) as program:
            browser.shows("Sign-in")
            name = browser.driver.find_element(By.NAME, "login")
            assert name.get_attribute("value") == ME, "the page knows whose consent is wanted"
            browser.driver.find_element(By.NAME, "password").send_keys("hers")
            name.submit()
            browser.shows("Authorize")
            browser.driver.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
            browser.shows(f"{ME} is ready")
            done = program.end()
    assert done.code == 0, done.err
    done = run("send", "--to", "ann@example.com", "--text", "Hi", "--json")
    assert (done.code, done.json["status"], done.json["account"]) == (0, "sent", ME), done.err
    assert len(mailboxes.accepted) == 1
    done = run("token", ME)
    assert done.code == 0, done.err
    said = authority.introspected(done.out.strip())
    assert (said["active"], said["sub"]) == (True, ME)
