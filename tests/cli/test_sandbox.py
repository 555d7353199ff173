"""``oauth-mailer sandbox``: servers that fail as they are told to, in another terminal."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import smtplib
import ssl
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from oauth_mailer.sandbox import known_steps

from .program import ROOT, Ended, run
from .test_try import without_module

_PATIENCE = 60.0  # seconds

posix = pytest.mark.skipif(os.name != "posix", reason="Windows knows no SIGTERM that could be heard")


class Running:
    """The program, with ``--json``, until it is told to stop; killed if it still runs at the end."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oauth_mailer", "sandbox", "--json", *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.ready = self.line()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def line(self) -> Any:
        """The next line of its log."""
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def stop(self, number: int = signal.SIGTERM) -> Ended:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=_PATIENCE)
        return Ended(self.process.returncode, out.decode(), err.decode())


@pytest.fixture
def accounts(google_host: None, home: Path) -> Path:
    """The user's own configuration, on a host with an encrypted file for its secrets."""
    return home


def log_in(server: Running) -> None:
    smtp = server.ready["smtp"]
    done = run(
        *("login", "me@qq.com", "--code-stdin", "--host", smtp["host"], "--smtp-port", str(smtp["port"])),
        *("--ca-file", smtp["ca_file"]),
        stdin=server.ready["code"].encode(),
    )
    assert done.code == 0, done.err


def send() -> Ended:
    return run(
        *("send", "--from", "me@qq.com", "--to", "Ann <ann@example.com>", "--bcc", "boss@example.com"),
        *("--subject", "Hi", "--text", "Hello", "--json"),
    )


@posix
def test_it_tells_exactly_what_it_accepted_and_what_it_refused(accounts: Path) -> None:
    with Running("--smtp", "451,ok,drop-after-dot") as server:
        folder = Path(server.ready["client_secrets"]).parent
        log_in(server)
        login = server.line()
        assert (login["event"], login["server"], login["what"]) == ("accepted", "smtp", "login")
        assert login["account"] == "me@qq.com"

        assert send().code == 75
        assert server.line()["what"] == "login"
        refused = server.line()
        assert (refused["event"], refused["what"], refused["step"]) == ("refused", "message", "451")
        assert refused["answer"] == "451 DT:SPM, please try again"

        sent = send()
        assert sent.code == 0
        assert server.line()["what"] == "login"
        accepted = server.line()
        assert (accepted["event"], accepted["what"], accepted["step"]) == ("accepted", "message", "")
        assert (accepted["account"], accepted["sender"]) == ("me@qq.com", "me@qq.com")
        assert accepted["recipients"] == ["ann@example.com", "boss@example.com"]
        assert accepted["id"] in sent.json["remote_id"]
        data = Path(accepted["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (accepted["size"], accepted["sha256"])
        assert sent.json["message_id"].encode() in data

        unknown = send()
        assert (unknown.code, unknown.json["status"]) == (76, "unknown")
        assert server.line()["what"] == "login"
        accepted = server.line()
        assert (accepted["event"], accepted["step"], accepted["answer"]) == ("accepted", "drop-after-dot", "")

        ended = server.stop()
        assert (ended.code, ended.out) == (0, "")
        assert "Traceback" not in ended.err
        assert not folder.exists()


@posix
def test_ctrl_c_is_the_way_to_end_it() -> None:
    with Running() as server:
        folder = Path(server.ready["client_secrets"]).parent
        assert json.loads((folder / "client_secret.json").read_text("utf-8"))["installed"]["token_uri"]
        ended = server.stop(signal.SIGINT)
    assert (ended.code, ended.out) == (0, "")
    assert not folder.exists()


def test_what_it_prints_can_be_typed_as_it_is(accounts: Path) -> None:
    done = run("sandbox", "--seconds", "0", "--code", "a code of my own")
    assert (done.code, done.out) == (0, "")
    assert "OAUTH_MAILER_GMAIL_ENDPOINT" in done.err
    assert "\n  oauth-mailer login you@gmail.com --client-secrets " in done.err
    assert "\n  oauth-mailer login you@example.com --host 127.0.0.1 " in done.err
    assert "--security starttls\n" in done.err
    assert "a code of my own\n" in done.err
    assert "you@qq.com" in run("sandbox", "--seconds", "0").err
    assert not list(accounts.iterdir())


@posix
def test_the_inbox_is_opened_in_the_browser_only_when_that_is_wanted(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >>"{tmp_path / "opened"}"\n', "utf-8")
    browser.chmod(0o755)
    env = {"BROWSER": str(browser), "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    assert run("sandbox", "--seconds", "0", env=env).code == 0
    assert not (tmp_path / "opened").exists()

    done = run("sandbox", "--open", "--seconds", "0", "--json", env=env)
    assert done.code == 0
    inbox = done.json["inbox"]
    assert (tmp_path / "opened").read_text("utf-8") == f"{inbox}\n"
    assert f"What arrives is shown at {inbox}\n" in done.err

    if sys.platform != "darwin":  # which always has one
        done = run("sandbox", "--open", "--seconds", "0", "--json", env={**env, "BROWSER": ""})
        assert done.code == 0
        assert f"No browser could be opened here. The inbox is at {done.json['inbox']}\n" in done.err


def test_every_step_is_listed_with_what_it_does() -> None:
    done = run("sandbox", "--list-faults")
    assert (done.code, done.err) == (0, "")
    machine = run("sandbox", "--list-faults", "--json").out.splitlines()
    listed = {(one["server"], one["step"]): one["text"] for one in map(json.loads, machine)}
    for server, steps in known_steps().items():
        assert f"--{server}\n  ok " in done.out
        for step, text in steps.items():
            assert listed.pop((server, step)) == text
            assert f"  {step} " in done.out
    assert not listed


@pytest.mark.parametrize("option", ["--smtp", "--gmail", "--token"])
def test_a_step_that_is_not_known_is_answered_by_those_that_are(option: str) -> None:
    done = run("sandbox", option, "ok,nonsense", "--json")
    assert done.code == 78
    assert done.json["error"]["code"] == "sandbox-step-unknown"
    assert "drop-after-dot" in done.json["error"]["hint"] or option != "--smtp"
    assert "ok, " in done.json["error"]["hint"]


@pytest.mark.parametrize(
    "words",
    [
        ("--port", "70000"),
        ("--smtp-port", "-1"),
        ("--starttls-port", "65536"),
        ("--lifetime", "-1"),
        ("--seconds", "-1"),
        ("--code", ""),
        ("--seconds", "x"),
    ],
)
def test_an_option_out_of_its_range_is_a_usage_error(words: tuple[str, ...]) -> None:
    done = run("sandbox", *words)
    assert done.code == 64
    assert "oauth-mailer sandbox --help" in done.err


def test_its_certificate_is_written_where_another_program_looks_for_it(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with Running("--ca-file", str(file)) as server:
        smtp = server.ready["smtp"]
        assert smtp["ca_file"] == str(file)
        trusted = ssl.create_default_context(cafile=file)
        with smtplib.SMTP_SSL(smtp["host"], smtp["port"], context=trusted, timeout=_PATIENCE) as client:
            assert client.login("me@example.com", server.ready["code"])[0] == 235
    done = run("sandbox", "--ca-file", str(tmp_path), "--json", "--seconds", "0")
    assert (done.code, done.json["error"]["code"]) == (78, "ca-file-unwritable")


def test_a_missing_extra_is_named() -> None:
    done = without_module("aiosmtpd", "sandbox", "--json")
    assert done.code == 78
    assert done.json["error"]["code"] == "sandbox-not-installed"


def test_in_chinese() -> None:
    done = run("sandbox", "--list-faults", env={"OAUTH_MAILER_LANG": "zh_CN"})
    assert done.code == 0
    assert "接受" in done.out
    assert "accepts" not in done.out
