from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oauth_mailer.accounts import Accounts, secret_variable
from tests.support import folder_contains

from .mailbox import CODE, Mailbox, mailbox
from .program import run
from .typist import Typist

CANARY = "canarycanarycana"  # has the form of a code, and is none
PASSPHRASE = "a passphrase of the test"
posix = pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX")


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A server that knows me@qq.com; the host keeps secrets in an encrypted file."""
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    with mailbox("me@qq.com") as made:
        yield made


def at(box: Mailbox) -> tuple[str, ...]:
    return (
        "login",
        box.address,
        "--host",
        f"127.0.0.1:{box.port}",
        "--security",
        "tls",
        "--ca-file",
        box.ca_file,
    )


def test_a_code_from_standard_input_is_proven_kept_and_used(box: Mailbox, home: Path) -> None:
    done = run(*at(box), "--code-stdin", "--name", "Me Myself", stdin=f"{CODE}\n".encode())
    assert done.code == 0, done.err
    assert "me@qq.com is ready" in done.err
    assert "oauth-mailer send" in done.err
    assert done.out == ""
    assert box.logins == 1
    account = Accounts(home).get()
    assert (account.address, account.provider, account.store) == ("me@qq.com", "qq", "encrypted_file")
    assert (account.host, account.port, account.name) == ("127.0.0.1", box.port, "Me Myself")
    assert not folder_contains(home, CODE.encode())
    assert CODE not in done.err

    sent = run("send", "--to", "ann@example.com", "--text", "Hi")
    assert sent.code == 0, sent.err
    assert len(box.messages) == 1


def test_json_tells_what_was_set_up(box: Mailbox) -> None:
    done = run(*at(box), "--code-stdin", "--json", stdin=CODE.encode())
    assert done.json == {
        "status": "logged_in",
        "account": "me@qq.com",
        "provider": "qq",
        "transport": "smtp",
        "store": "encrypted_file",
        "default": True,
    }


def test_a_code_of_the_wrong_form_never_reaches_the_server(box: Mailbox, home: Path) -> None:
    done = run(*at(box), "--code-stdin", "--json", stdin=b"canary-5531\n")
    assert done.code == 77
    assert done.json["error"]["code"] == "code-form"
    assert "canary" not in done.out + done.err
    assert (box.server.connections, len(Accounts(home))) == (0, 0)


def test_a_refused_code_costs_one_login_and_leaves_the_old_one(box: Mailbox, home: Path) -> None:
    assert run(*at(box), "--code-stdin", stdin=CODE.encode()).code == 0
    before = (home / "config.toml").read_bytes()
    done = run(*at(box), "--code-stdin", "--name", "Other", "--verbose", stdin=CANARY.encode())
    assert done.code == 77, done.err
    assert CANARY not in done.err + done.out
    assert box.logins == 2
    assert (home / "config.toml").read_bytes() == before
    assert run("send", "--to", "ann@example.com", "--text", "Hi").code == 0


def test_spaces_in_a_code_are_no_part_of_it(box: Mailbox) -> None:
    assert run(*at(box), "--code-stdin", stdin=b"  abcd efgh ijkl mnop \r\n").code == 0


def test_standard_input_without_a_code_is_a_usage_error(box: Mailbox) -> None:
    for nothing in (b"", b"\n", b"\xff\xfe"):
        assert run(*at(box), "--code-stdin", stdin=nothing).code == 64


def test_nobody_is_asked_where_standard_input_is_no_terminal(box: Mailbox) -> None:
    done = run(*at(box), "--json", stdin=CODE.encode())
    assert done.code == 77
    assert done.json["error"]["code"] == "no-terminal"
    assert "--code-stdin" in done.json["error"]["hint"]


def test_a_later_login_needs_no_options_again(box: Mailbox, home: Path) -> None:
    assert run(*at(box), "--code-stdin", "--name", "Me", stdin=CODE.encode()).code == 0
    before = Accounts(home).get()
    assert run("login", "ME@qq.com", "--code-stdin", stdin=CODE.encode()).code == 0
    after = Accounts(home).get()
    assert replace(after, logged_in="") == replace(before, logged_in="")
    assert after.logged_in >= before.logged_in
    assert len(Accounts(home)) == 1


def test_a_server_that_is_no_ones_preset(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    with mailbox("ops@corp.example") as box:
        assert run(*at(box), "--code-stdin", stdin=f"{CODE}\n".encode()).code == 0
        assert Accounts(home).get().provider == "custom"


def test_a_certificate_that_nobody_vouches_for_ends_it_before_the_code_is_shown(
    box: Mailbox, home: Path
) -> None:
    words = [word for word in at(box) if word not in ("--ca-file", box.ca_file)]
    done = run(*words, "--code-stdin", stdin=CODE.encode())
    assert done.code in (75, 77, 78), done
    assert (box.logins, len(Accounts(home))) == (0, 0)


def test_a_store_in_the_environment_has_the_code_already(
    box: Mailbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_STORE", "environment")
    done = run(*at(box), "--json")
    assert done.code == 77
    assert secret_variable(box.address) in done.json["error"]["hint"]
    monkeypatch.setenv(secret_variable(box.address), CANARY)
    assert run(*at(box)).code == 77
    assert len(Accounts(home)) == 0
    monkeypatch.setenv(secret_variable(box.address), CODE)
    assert run(*at(box)).code == 0
    assert Accounts(home).get().store == "environment"
    (listed,) = run("accounts", "--json").json["accounts"]
    assert listed["login"] == "set_up"
    monkeypatch.delenv(secret_variable(box.address))
    (listed,) = run("accounts", "--json").json["accounts"]
    assert listed["login"] == "missing"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["me@outlook.com", "--code-stdin"], 64, "usage"),
        (["me@corp.example"], 78, "provider-unknown"),
        (["me@corp.example", "--provider", "nobody"], 78, "provider-unknown"),
        (["me@corp.example", "--provider", "microsoft365", "--service-account", __file__], 64, "usage"),
        (["me@corp.example", "--host", "mail.corp.example:ten"], 78, "port-wrong"),
        (["me@corp.example", "--host", "mail.corp.example:465", "--smtp-port", "587"], 78, "port-wrong"),
        (["me@gmail.com", "--smtp-port", "587"], 78, "host-without-smtp"),
        (["me@gmail.com", "--code-stdin"], 64, "usage"),
        (["me@qq.com", "--no-browser"], 64, "usage"),
        (["me@gmail.com", "--device"], 78, "device-unsupported"),
        (["me@outlook.com", "--device", "--no-browser"], 64, "usage"),
        (["me@gmail.com", "--port", "70000"], 64, "usage"),
        (["me@gmail.com", "--client-secrets", "no/such/file.json"], 66, "input-missing"),
        (["me@qq.com", "--ca-file", "no/such/file.pem"], 66, "input-missing"),
        (["me@qq.com", "--store", "sticky-note"], 64, "usage"),
        (["me"], 65, ""),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(words: list[str], code: int, told: str) -> None:
    done = run("login", *words, "--json", stdin=f"{CODE}\n".encode())
    assert done.code == code, done
    assert done.json["error"]["hint"]
    if told:
        assert done.json["error"]["code"] == told


@posix
def test_a_person_is_told_where_the_code_is_and_what_they_type_is_not_shown(box: Mailbox) -> None:
    typist = Typist(*at(box))
    typist.wait_for("Authorization code of me@qq.com:")
    assert "授权码" in typist.screen
    typist.type("my mailbox password")
    typist.wait_for("not the password of the mailbox")
    assert typist.answer([("Authorization code of me@qq.com:", CODE)]) == 0, typist.screen
    assert CODE not in typist.screen
    assert "my mailbox password" not in typist.screen
    assert box.logins == 1


@posix
def test_a_person_types_the_passphrase_of_the_encrypted_file_at_login_and_at_each_send(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OAUTH_MAILER_PASSPHRASE")
    typist = Typist(*at(box))
    answers = [("Choose a passphrase", PASSPHRASE), ("again", PASSPHRASE), ("Authorization code", CODE)]
    assert typist.answer(answers) == 0, typist.screen
    typist = Typist("send", "--to", "ann@example.com", "--text", "Hi")
    assert typist.answer([("Passphrase for", PASSPHRASE)]) == 0, typist.screen
    assert PASSPHRASE not in typist.screen
    done = run("send", "--to", "ann@example.com", "--text", "Hi", "--json")
    assert (done.code, done.json["error"]["code"]) == (78, "passphrase-missing")


@posix
def test_ctrl_c_at_the_question_changes_nothing(box: Mailbox, home: Path) -> None:
    typist = Typist(*at(box))
    typist.wait_for("Authorization code of me@qq.com:")
    typist.press_ctrl_c()
    assert typist.end() == 130
    assert "Stopped by Ctrl-C" in typist.screen
    assert "Traceback" not in typist.screen
    assert len(Accounts(home)) == 0


def test_an_account_without_a_secret_names_no_store_for_it(home: Path, tmp_path: Path) -> None:
    (home / "config.toml").write_text(
        f'[accounts."debug@corp.example"]\ntransport = "file"\nfolder = {str(tmp_path)!r}\nauth = "none"\n'
    )
    assert run("accounts", "--json").json["accounts"][0]["store"] == ""
    assert "keyring" not in run("accounts", env={"OAUTH_MAILER_STORE": "keyring"}).out


def test_accounts_default_and_logout(box: Mailbox, home: Path) -> None:
    assert run("accounts").err == "No account is set up yet.\nRun: oauth-mailer login you@example.com\n"
    assert run(*at(box), "--code-stdin", stdin=CODE.encode()).code == 0
    with mailbox("ops@corp.example") as other:
        assert run(*at(other), "--code-stdin", stdin=CODE.encode()).code == 0
        listed = run("accounts")
        assert listed.err == ""
        assert [line.split()[:2] for line in listed.out.splitlines()[1:]] == [
            ["*", "me@qq.com"],
            ["ops@corp.example", "custom"],
        ]
        first, second = run("accounts", "--json").json["accounts"]
        assert list(first) == [
            *("address", "name", "provider", "transport", "server", "store", "default", "login"),
            *("logged_in", "ends_if_testing", "fallback"),
        ]
        assert (first["default"], second["default"]) == (True, False)
        assert first["server"] == f"127.0.0.1:{box.port}"

        assert run("default").out == "me@qq.com\n"
        assert run("default", "nobody@corp.example").code == 78
        assert run("default", "OPS@corp.example", "--json").json == {"default": "ops@corp.example"}
        assert run(*at(box), "--default", "--code-stdin", stdin=CODE.encode()).code == 0
        assert run("default").out == "me@qq.com\n"

        assert run("logout", "nobody@corp.example", "--json").json["error"]["code"] == "no-account"
        done = run("logout", "me@qq.com", "--json")
        assert done.json == {"status": "logged_out", "account": "me@qq.com", "revoked": False}
        assert "still valid" in done.err
        assert run("default").out == "ops@corp.example\n"
        assert run("send", "--from", "me@qq.com", "--to", "ann@example.com", "--text", "x").code == 78
        # The code is gone too, not only the account's entry.
        (home / "config.toml").write_text(
            (home / "config.toml").read_text("utf-8") + '\n[accounts."me@qq.com"]\nprovider = "qq"\n'
        )
        again = run("send", "--from", "me@qq.com", "--to", "ann@example.com", "--text", "x", "--json")
        assert (again.code, again.json["error"]["code"]) == (77, "secret-missing")
