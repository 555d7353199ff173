"""All that reads what others wrote, as functions of octets: for hypothesis, and for atheris where it runs.

    python -m tests.faults.parsers smtp_reply       # with atheris installed; Ctrl-C ends it

Each returns, or raises one of our errors; anything else is a finding.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.address import Address
from oauth_mailer.auth.google import Access, Consent, read_client
from oauth_mailer.errors import MailerError
from oauth_mailer.message import Attachment, Message
from oauth_mailer.mime import render
from oauth_mailer.raw_message import RawMessage
from oauth_mailer.refusals import Refusals
from oauth_mailer.replies import ROWS, Stage, decode_reply, readable
from oauth_mailer.stores import Secret
from oauth_mailer.stores._sealed import Damaged, Newer, WrongPassphrase, unseal
from oauth_mailer.transports._gmail_errors import refusal
from oauth_mailer.wire.loopback import Listener, read_answer
from oauth_mailer.wire.one_post import Answer
from oauth_mailer.wire.patience import Patience
from oauth_mailer.wire.smtp_channel import Channel, GarbledReply
from oauth_mailer.wire.smtp_extensions import extensions_in

_SENDER = Address("me@qq.com")
_ACCOUNT = Account(address="me@gmail.com", provider="gmail", client={"client_id": "x"})
_STAGES: tuple[Stage, ...] = ("connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot")


def addresses(data: bytes) -> None:
    """A list of addresses; what is read reads back as the same."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(MailerError):
        found = Address.parse_list(text)
        assert Address.parse_list(", ".join(map(str, found))) == found


def finished_message(data: bytes) -> None:
    """An ``.eml``, as it would go out."""
    with suppress(MailerError):
        _envelope, content = render(RawMessage(data, recipients=["ann@example.com"]), _SENDER)
        sent = b"".join(content.blocks())
        assert len(sent) == content.size
        assert sent.replace(b"\r\n", b"").isascii() or content.needs_8bit or content.needs_smtputf8
        assert b"\r" not in sent.replace(b"\r\n", b"")
        assert b"\n" not in sent.replace(b"\r\n", b"")


def message(data: bytes) -> None:
    """A text in every place of a message that takes one."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(MailerError):
        one = Message(
            to="ann@example.com",
            subject=text,
            text=text,
            from_name=text,
            headers={"X-Text": text},
            attachments=[Attachment(data, filename=text)],
        )
        _envelope, content = render(one, _SENDER)
        assert max(map(len, b"".join(content.blocks()).split(b"\r\n"))) <= 998


def smtp_reply(data: bytes) -> None:
    """What a server says, read from a socket that ends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data[:60_000])
        theirs.close()
        channel = Channel(ours, Patience(5.0))
        with suppress(GarbledReply, OSError):
            while True:
                extensions_in(channel.read_reply().lines)


def reply_meaning(data: bytes) -> None:
    """The meaning of a reply, for every provider at every stage."""
    for rows in ROWS:
        for stage in _STAGES:
            error = decode_reply(rows, stage, 400 + data[0] if data else 550, data[1:], host="h")
            assert error.hint
            assert str(error).isprintable() or "\n" in str(error)
    assert readable(data).isprintable()


def gmail_answer(data: bytes) -> None:
    """A refusal by the Gmail API, in any status."""
    status = 300 + (data[0] if data else 0) % 300
    headers = {"retry-after": data[:12].decode("latin-1")}
    error = refusal(Answer(status, "No", headers, data[1:]), "me@gmail.com", Secret("token"))
    assert error.text.isprintable()


def stored_secrets(data: bytes) -> None:
    """What a store gives back, and a sealed file."""
    text = data.decode("utf-8", "surrogateescape")
    Access.read(Secret(text))
    with suppress(MailerError):
        Consent.read(_ACCOUNT, Secret(text))
    with suppress(Damaged, Newer, WrongPassphrase):
        unseal(data, "a passphrase")


def redirect(data: bytes) -> None:
    """What a browser, or a person who pastes, brings back."""
    text = data.decode("latin-1")
    assert read_answer(text, Secret("the state")) is None
    listener = Listener(Secret("the state"), port=0, timeout=1.0)
    assert not listener.take(text)


def files(data: bytes) -> None:
    """The configuration, the client's file and what was refused."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("config.toml", "client.json", "refused.json"):
            (folder / file).write_bytes(data)
        with suppress(MailerError):
            list(Accounts(folder))
        with suppress(MailerError):
            read_client(folder / "client.json")
        Refusals(folder).check("me@qq.com", "code")


PARSERS: dict[str, Callable[[bytes], None]] = {
    parser.__name__: parser
    for parser in (
        addresses,
        finished_message,
        message,
        smtp_reply,
        reply_meaning,
        gmail_answer,
        stored_secrets,
        redirect,
        files,
    )
}

SEEDS: dict[str, tuple[bytes, ...]] = {
    "addresses": (b'"A, B" <a@b.de>, (c (d)) e@f.de, G: h@i.de, j@k.de;, =?utf-8?q?x?= <l@[127.0.0.1]>',),
    "finished_message": (
        b"From: a@b.de\r\nTo: c@d.de\r\nBcc: e@f.de\r\nSubject: =?gbk?b?xOM=?=\r\n\r\nHi\r\n.\r\n",
    ),
    "message": ("=?utf-8?q?=0ABcc:?= 季度报告 👩‍👩‍👧 \u200f".encode(),),
    "smtp_reply": (
        b"250-mx\r\n250-SIZE 1\r\n250 AUTH=LOGIN PLAIN\r\n",
        b"535 \xb5\xc7\xc2\xbc\r\n",
        b"\x15\x03\x01",
    ),
    "reply_meaning": (b"\x96MI:SFQ \xb5\xc7\xc2\xbc\x1b[2J",),
    "gmail_answer": (
        json.dumps({"error": {"code": 403, "errors": [{"reason": "x", "message": "y"}]}}).encode(),
    ),
    "stored_secrets": (
        b'{"token": "x", "since": 1, "until": 2}',
        b'{"refresh_token": "x"}',
        b'{"format": "oauth-mailer-secrets", "version": 1, "scrypt": {"n": 1, "r": 1, "p": 1}}\nAA==\n',
    ),
    "redirect": (b"http://127.0.0.1:1/?state=x&code=y", b"http://["),
    "files": (
        b'default = "a@b.de"\n[accounts."a@b.de"]\nport = 1\n',
        b'{"installed": {"client_id": "x", "auth_uri": "https://a", "token_uri": "https://b"}}',
        b'{"me@qq.com": {"salt": "00", "mark": "00", "since": 1, "until": null}}',
    ),
}
"""From where to begin."""


def main() -> None:
    """Fuzz one of them by coverage."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, PARSERS[sys.argv.pop(1)])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
