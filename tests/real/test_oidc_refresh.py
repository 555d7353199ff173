"""Refresh tokens that rotate, at a certified authority that ends a consent when an old one is shown again."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer.errors import StoreError
from oauth_mailer.stores import Secret, Slot, StoreOptions, open_store
from oauth_mailer.stores.memory import MemoryStore
from tests.cli.program import ROOT
from tests.support.oidc_mailboxes import (
    HOUR,
    ME,
    Mailboxes,
    access_token,
    an_hour_passes,
    log_in,
    refresh_token,
    send,
)
from tests.support.oidc_provider import AuthorizationServer
from tests.support.server_log import PATIENCE

MANY = 20

_SENDER = """
import sys, oauth_mailer
with oauth_mailer.open_mailer() as mailer:
    print("ready", flush=True)
    sys.stdin.read()
    mailer.send(oauth_mailer.Message(to="ann@example.com", text="Hi"))
"""


def test_an_expired_token_is_refreshed_once_and_the_refresh_token_rotates(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore
) -> None:
    account = log_in(mailboxes, store)
    old, first = refresh_token(store, account), access_token(store, account)
    for number in (1, 2, 3):
        an_hour_passes(authority, store, account)
        send(store)
        assert len(authority.happened("grant.success", "refresh_token")) == number
        assert len(mailboxes.accepted) == number
    new = refresh_token(store, account)
    assert new != old
    assert authority.introspected(new)["active"]
    assert not authority.introspected(old)["active"]
    assert not authority.introspected(first)["active"]
    assert not authority.happened("grant.error")


def test_a_token_that_only_the_server_finds_expired_is_refreshed_once_and_the_mail_is_sent_once(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore
) -> None:
    log_in(mailboxes, store)
    authority.later(HOUR)
    send(store)
    assert mailboxes.commands.count("empty answer") == 1, "it was refused once"
    assert len(authority.happened("grant.success", "refresh_token")) == 1
    assert len(mailboxes.accepted) == 1


class Watched(MemoryStore):
    """Tells what is written. ``full``: how many refresh tokens it will not take."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.deleted: list[Slot] = []
        self.full = 0

    def set(self, slot: Slot, secret: Secret) -> None:
        kept = "refresh_token" if "refresh_token" in secret.reveal() else "token"
        if kept == "refresh_token" and self.full:
            self.full -= 1
            raise StoreError("The disk is full.", code="store-full")
        self.written.append(kept)
        super().set(slot, secret)

    def delete(self, slot: Slot) -> None:
        self.deleted.append(slot)
        super().delete(slot)


def test_the_new_refresh_token_is_kept_before_the_old_is_forgotten(
    authority: AuthorizationServer, mailboxes: Mailboxes
) -> None:
    store = Watched()
    account = log_in(mailboxes, store)
    an_hour_passes(authority, store, account)
    store.written.clear()
    store.deleted.clear()
    send(store)
    assert (store.written, store.deleted) == (["refresh_token", "token"], [])

    an_hour_passes(authority, store, account)
    old = refresh_token(store, account)
    store.full = 1
    with oauth_mailer.open_mailer(ME, store=store) as mailer:
        with pytest.raises(StoreError):
            mailer.send(oauth_mailer.Message(to="ann@example.com", text="Hi"))
        assert refresh_token(store, account) == old
        mailer.send(oauth_mailer.Message(to="ann@example.com", text="Hi"))
    assert authority.introspected(refresh_token(store, account))["active"]
    assert not authority.happened("grant.error"), "the old one was not shown again"
    assert len(mailboxes.accepted) == 2


def test_twenty_threads_with_an_expired_token_refresh_it_once(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore
) -> None:
    account = log_in(mailboxes, store)
    an_hour_passes(authority, store, account)
    together = threading.Barrier(MANY)
    with oauth_mailer.open_mailer(ME, store=store) as shared, ThreadPoolExecutor(MANY) as threads:

        def one(number: int) -> None:
            together.wait(PATIENCE)
            if number % 2:  # half of them have a mailer of their own
                send(store)
            else:
                shared.send(oauth_mailer.Message(to="ann@example.com", text="Hi"))

        list(threads.map(one, range(MANY)))
    assert len(mailboxes.accepted) == MANY
    assert len(authority.happened("grant.success", "refresh_token")) == 1
    assert not authority.happened("grant.error")
    assert authority.introspected(refresh_token(store, account))["active"]


def test_twenty_processes_with_an_expired_token_refresh_it_once(
    authority: AuthorizationServer, mailboxes: Mailboxes, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "correct horse")
    store = open_store("encrypted_file", StoreOptions(home))
    account = log_in(mailboxes, store)
    an_hour_passes(authority, store, account)
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", _SENDER],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _number in range(MANY)
    ]
    try:
        for program in programs:
            assert program.stdout
            assert program.stdout.readline() == "ready\n"
        ended = [program.communicate(timeout=PATIENCE) for program in released(programs)]
    finally:
        for program in programs:
            program.kill()
            program.communicate()
    assert [program.returncode for program in programs] == [0] * MANY, ended
    assert len(mailboxes.accepted) == MANY
    assert len(authority.happened("grant.success", "refresh_token")) == 1
    assert not authority.happened("grant.error")
    assert authority.introspected(refresh_token(store, account))["active"]


def released(programs: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for program in programs:
        assert program.stdin
        program.stdin.close()
        program.stdin = None
    return programs
