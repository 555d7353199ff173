"""The first login of somebody who has no OAuth client yet: led through Google's console, at a terminal."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from oauth_mailer.cli.guide import typed_path
from oauth_mailer.cli.guide_steps import STEPS
from oauth_mailer.logins.downloads import Downloads
from oauth_mailer.logins.ssh import ssh_host
from oauth_mailer.sandbox import Sandbox
from tests.support.google_browser import decide

from .google_login import ADDRESS, everything, log_in, send, url_on
from .program import run
from .typist import Typist

posix = pytest.mark.skipif(os.name != "posix", reason="needs a terminal, scripts and signals of POSIX")

WRONG = {
    "client_secret_web.json": (
        {"web": {"client_id": "x", "client_secret": "s"}},
        "of the type Web application",
    ),
    "project-1a2b.json": ({"type": "service_account", "private_key": "s"}, "the key of a service account"),
    "token.json": ({"refresh_token": "s", "client_id": "x"}, "somebody's token, not a client"),
    "client_secret_half.json": ('{"installed": {"client_id": "12', "cut off or damaged"),
}


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a person whose browser downloads into ~/Downloads."""
    home = tmp_path / "person"
    (home / "Downloads").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_DOWNLOAD_DIR", "XDG_CONFIG_HOME", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    return home


def land(google: Sandbox, folder: Path, name: str = "client_secret_12.json", project: str = "mail-7") -> Path:
    """The client's file comes into the folder whole, as browsers do it."""
    made = google.write_client_secrets(folder.parent)
    content = json.loads(made.read_text("utf-8"))
    content["installed"]["project_id"] = project
    made.write_text(json.dumps(content), "utf-8")
    return made.replace(folder / name)


def begun(step: int) -> Typist:
    """A first login that has come to this step."""
    typist = Typist("login", ADDRESS)
    typist.wait_for("Enter begins:")
    typist.type("")
    for number in range(1, step + 1):
        typist.wait_for(f"{number}/{len(STEPS)}  ")
        typist.wait_for(STEPS[number - 1].url)
        if number < step:
            typist.wait_for("Enter when it is done:")
            typist.type("")
    return typist


@posix
def test_a_person_is_led_from_nothing_to_a_mail_and_the_file_may_go(google: Sandbox, person: Path) -> None:
    typist = begun(len(STEPS))
    typist.wait_for("as soon as it lands in:")
    typist.wait_for(str(person / "Downloads"))
    typist.wait_for("The file, or Enter to look for it:")
    typist.type("")
    typist.wait_for("It is not there yet.")
    file = land(google, person / "Downloads")
    typist.wait_for("a whole client of the type Desktop app")
    typist.wait_for("https://console.cloud.google.com/apis/library/gmail.googleapis.com?project=mail-7")
    assert decide(url_on(typist))[0] == 200
    typist.wait_for(f"{ADDRESS} is ready")
    typist.wait_for("The client's secret rests in the store now")
    assert typist.answer([("[y/N]", "y")]) == 0, typist.screen
    assert not file.exists()
    assert send().code == 0
    # What was made once serves the next account, which is asked for nothing but the consent.
    other = Typist("login", "other@gmail.com")
    other.wait_for("login_hint=other%40gmail.com\r\n")
    assert "Enter begins" not in other.screen
    other.press_ctrl_c()
    assert other.end() == 130


@posix
def test_each_step_says_what_to_do_and_shows_its_page(google: Sandbox, person: Path) -> None:
    typist = begun(len(STEPS))
    typist.wait_for("The file, or Enter to look for it:")
    typist.press_ctrl_c()
    assert typist.end() == 130
    for told in ("Publish it, or your login dies in 7 days", "Desktop app", "Download JSON", "gmail.send"):
        assert told in typist.screen
    assert "\x1b[1m1/6" in typist.screen
    assert max(len(line) for line in typist.screen.splitlines()) < 120


@posix
@pytest.mark.parametrize("name", WRONG)
def test_a_file_of_another_kind_is_told_by_its_name_as_it_lands(
    name: str, google: Sandbox, person: Path
) -> None:
    content, told = WRONG[name]
    typist = begun(3)
    typist.wait_for("Enter when it is done:")
    text = content if isinstance(content, str) else json.dumps(content)
    (person / name).write_text(text, "utf-8")
    (person / name).replace(person / "Downloads" / name)
    (person / "Downloads" / "unrelated.json").write_text("[1, 2]", "utf-8")
    typist.wait_for(told)
    typist.wait_for("Enter when it is done:")
    land(google, person / "Downloads", "client_secret_7 (1).json")
    assert decide(url_on(typist))[0] == 200
    assert typist.answer([("[y/N]", "")]) == 0, typist.screen
    assert (person / "Downloads" / "client_secret_7 (1).json").exists()
    assert "unrelated.json" not in typist.screen


@posix
def test_a_client_that_was_downloaded_before_is_offered(google: Sandbox, person: Path) -> None:
    file = land(google, person / "Downloads")
    (person / "Downloads" / "client_secret_web.json").write_text('{"web": {}}', "utf-8")
    typist = Typist("login", ADDRESS)
    typist.wait_for(f"There is a client already: {file}. Use it? [Y/n]")
    typist.type("")
    assert decide(url_on(typist))[0] == 200
    assert typist.answer([("[y/N]", "n")]) == 0, typist.screen
    assert file.exists()


@posix
def test_ctrl_c_at_the_last_question_keeps_the_file_and_the_login(
    google: Sandbox, person: Path, tmp_path: Path
) -> None:
    file = land(google, person / "Downloads")
    typist = Typist("login", ADDRESS, "--json", out=tmp_path / "out.json")
    typist.wait_for("Use it? [Y/n]")
    typist.type("y")
    assert decide(url_on(typist))[0] == 200
    typist.wait_for("[y/N]")
    typist.press_ctrl_c()
    assert typist.end() == 0, typist.screen
    assert json.loads((tmp_path / "out.json").read_text("utf-8"))["status"] == "logged_in"
    assert file.exists()
    assert send().code == 0


@posix
def test_a_client_that_is_not_wanted_leaves_the_way_to_another(google: Sandbox, person: Path) -> None:
    old = land(google, person / "Downloads", "client_secret_old.json", project="old-1")
    typist = Typist("login", ADDRESS)
    typist.wait_for("Use it? [Y/n]")
    typist.type("n")
    typist.wait_for("Enter begins:")
    land(google, person / "Downloads", "client_secret_new.json", project="new-2")
    typist.wait_for("gmail.googleapis.com?project=new-2")
    assert decide(url_on(typist))[0] == 200
    assert typist.answer([("client_secret_new.json? [y/N]", "y")]) == 0, typist.screen
    assert old.exists()


@posix
def test_a_path_may_be_typed_or_dragged_at_any_step(google: Sandbox, person: Path) -> None:
    (person / "My files").mkdir()
    file = land(google, person / "My files", "client.json")
    typist = begun(2)
    typist.wait_for("Enter when it is done:")
    typist.type("no/such/file.json")
    typist.wait_for("There is no client file no/such/file.json.")
    typist.wait_for("Enter when it is done:")
    typist.type(f"'{file}' ")
    assert decide(url_on(typist))[0] == 200
    assert typist.answer([("[y/N]", "")]) == 0, typist.screen


@posix
@pytest.mark.parametrize("step", [0, 1, 4])
def test_ctrl_c_at_a_step_leaves_nothing_behind(
    step: int, google: Sandbox, person: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typist = begun(step) if step else Typist("login", ADDRESS)
    typist.wait_for("Enter when it is done:" if step else "Enter begins:")
    typist.press_ctrl_c()
    assert typist.end() == 130
    assert "Stopped by Ctrl-C" in typist.screen
    assert "Traceback" not in typist.screen
    assert not everything(home)
    assert list((person / "Downloads").iterdir()) == []


@posix
def test_ctrl_d_ends_it_with_the_way_to_begin_again(google: Sandbox, person: Path, home: Path) -> None:
    typist = Typist("login", ADDRESS)
    typist.wait_for("Enter begins:")
    typist.press_ctrl_d()
    assert typist.end() == 77
    assert f"Start it again: oauth-mailer login {ADDRESS}" in typist.screen
    assert not everything(home)


@posix
@pytest.mark.parametrize("opened", [True, False])
def test_the_pages_are_opened_where_there_is_a_browser_and_it_is_wanted(
    opened: bool, google: Sandbox, person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> "{seen}"\n', "utf-8")
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    typist = Typist("login", ADDRESS, *([] if opened else ["--no-browser"]))
    typist.wait_for("Enter begins:")
    typist.type("")
    for step in STEPS[:3]:
        typist.wait_for(step.url)
        typist.wait_for("Enter when it is done:")
        typist.type("")
    typist.wait_for("4/6")
    typist.wait_for("Enter when it is done:")
    typist.press_ctrl_c()
    assert typist.end() == 130
    pages = seen.read_text("utf-8").split() if seen.exists() else []
    assert pages == ([step.url for step in STEPS[:4]] if opened else [])


@posix
def test_over_ssh_the_lines_for_ones_own_computer_are_shown(
    google: Sandbox, person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "198.51.100.7 50022 192.0.2.10 2222")
    monkeypatch.setenv("LOGNAME", "ann")
    typist = begun(len(STEPS))
    typist.wait_for("scp -P 2222 client_secret*.json ann@192.0.2.10:")
    typist.wait_for("The file, or Enter to look for it:")
    land(google, person, "client_secret_9.json")  # where scp puts it
    url = url_on(typist)
    port = url.partition("127.0.0.1%3A")[2].partition("%2F")[0]
    typist.wait_for(f"ssh -p 2222 -L {port}:127.0.0.1:{port} ann@192.0.2.10")
    typist.wait_for("Address of the page that failed to load:")
    assert decide(url)[0] == 200
    assert typist.answer([("[y/N]", "")]) == 0, typist.screen


def test_the_port_to_forward_is_the_one_that_is_asked_for(
    client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "2001:db8::7 50022 2001:db8::1 22")
    monkeypatch.setenv("LOGNAME", "ann")
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = run("login", ADDRESS, "--client-secrets", client, "--port", str(port), "--timeout", "0.5")
    assert done.code == 77
    assert f"\nssh -L {port}:127.0.0.1:{port} ann@2001:db8::1\n" in done.err


def test_where_nobody_can_be_asked_the_steps_stand_in_the_error(google: Sandbox, person: Path) -> None:
    land(google, person / "Downloads")
    done = run("login", ADDRESS, "--json")
    assert (done.code, done.json["error"]["code"]) == (78, "client-missing")
    hint = done.json["error"]["hint"]
    for told in ("enable the Gmail API", "publish the app, or the login ends after 7 days", "Desktop app"):
        assert told in hint


def test_an_account_that_has_its_client_is_not_led_anywhere(
    google: Sandbox, person: Path, tmp_path: Path
) -> None:
    assert log_in(google, tmp_path).code == 0
    if sys.platform != "win32":
        typist = Typist("login", ADDRESS)
        url_on(typist)
        typist.press_ctrl_c()
        assert typist.end() == 130
        assert "Enter begins" not in typist.screen


# ---- what it is made of


def test_the_folder_is_the_one_that_the_desktop_names(person: Path) -> None:
    if sys.platform in ("win32", "darwin"):
        pytest.skip("these have one folder, which the system names")
    (person / ".config").mkdir()
    (person / ".config" / "user-dirs.dirs").write_text('XDG_DOWNLOAD_DIR="$HOME/下载"\n', "utf-8")
    (person / "下载").mkdir()
    downloads = Downloads()
    assert downloads.folders[0] == person / "下载"
    (person / "下载" / "token.json").write_text('{"refresh_token": "x"}', "utf-8")
    assert [*downloads.look()] == []  # it may still be written
    (found,) = downloads.look()
    assert found.path == person / "下载" / "token.json"
    assert found.error is not None
    assert found.error.code == "client-token-file"
    assert [*downloads.look()] == []


def test_a_file_that_is_still_written_is_not_judged_until_it_is_whole(
    google: Sandbox, tmp_path: Path
) -> None:
    folder = tmp_path / "Downloads"
    folder.mkdir()
    downloads = Downloads((folder,))
    whole = land(google, folder, "elsewhere").read_text("utf-8")
    file = folder / "client_secret_1.json"
    for size in (10, 20, len(whole)):
        file.write_text(whole[:size], "utf-8")
        assert [*downloads.look()] == []
    (found,) = downloads.look()
    assert (found.path, found.error, found.project) == (file, None, "mail-7")


def test_a_folder_that_comes_later_and_what_is_no_file_are_no_trouble(tmp_path: Path) -> None:
    folder = tmp_path / "Downloads"
    downloads = Downloads((folder,))
    assert downloads.ready() is None
    assert [*downloads.look()] == []
    (folder / "client_secret.json").mkdir(parents=True)
    assert [*downloads.look(), *downloads.look()] == []


@pytest.mark.skipif(os.name != "posix", reason="how terminals of POSIX hand over a path")
def test_a_path_is_read_as_terminals_hand_it_over(person: Path) -> None:
    file = person / "My files" / "it's.json"
    file.parent.mkdir()
    file.touch()
    for line in (str(file), f'"{file}"', str(file).replace(" ", "\\ ").replace("'", "\\'"), f" {file} \n"):
        assert typed_path(line) == file, line
    assert typed_path(file.as_uri()) == file
    assert typed_path("~/My files/it's.json") == file
    assert typed_path("'half") == Path("'half")


def test_without_ssh_there_is_no_host_to_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "nonsense", "1.2.3.4 1 5.6.7.8 ssh"):
        monkeypatch.setenv("SSH_CONNECTION", value)
        assert ssh_host() is None
    monkeypatch.setenv("SSH_CONNECTION", "fe80::7%eth0 1 fe80::1%eth0 2222")
    monkeypatch.setenv("LOGNAME", "ann")
    host = ssh_host()
    assert host is not None
    assert host.copy("x.json") == "scp -P 2222 x.json ann@[fe80::1]:"
