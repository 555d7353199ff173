"""Django sends by our accounts, and finds everything as it is used to."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.mime.image import MIMEImage
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.test.utils import override_settings
from django.utils.functional import lazystr

from oauth_mailer.errors import OutcomeUnknown, RejectedError
from oauth_mailer.outbox import Outbox
from tests.cli.mailbox import Mailbox, mailboxes

ME, OTHER = "me@corp.example", "other@corp.example"

# Newer versions of Django prefer other words, and older ones know these only.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def a_project() -> None:
    if not settings.configured:
        settings.configure(
            EMAIL_BACKEND="oauth_mailer.integrations.django.EmailBackend", DEFAULT_FROM_EMAIL=ME, USE_TZ=True
        )
        django.setup()


@pytest.fixture
def boxes(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Mailbox]]:
    with mailboxes(home, monkeypatch, ME, OTHER) as made:
        yield made


@pytest.fixture
def box(boxes: list[Mailbox]) -> Mailbox:
    return boxes[0]


def parsed(box: Mailbox, number: int = 0) -> Any:
    return message_from_bytes(box.messages[number].data, policy=policy.default)


def test_send_mail_and_its_count(box: Mailbox) -> None:
    assert (
        mail.send_mail("你好", "It works.", None, ["ann@example.com"], html_message="<b>It works.</b>") == 1
    )
    assert box.messages[0].recipients == ["ann@example.com"]
    message = parsed(box)
    assert message["subject"] == "你好"
    assert message["from"] == ME
    assert message.get_body(("plain",)).get_content().strip() == "It works."
    assert message.get_body(("html",)).get_content().strip() == "<b>It works.</b>"


def test_copies_blind_copies_headers_and_attachments(box: Mailbox) -> None:
    message = EmailMultiAlternatives(
        "Report",
        "See the file.",
        f"The Shop <{ME}>",
        ["Ann <ann@example.com>"],
        bcc=["boss@example.com"],
        cc=["bob@example.com"],
        reply_to=["help@example.com"],
        headers={"X-Ticket": "42", "Message-ID": "<my.own@example.com>"},
    )
    message.attach_alternative("<img src='cid:logo'>", "text/html")
    message.attach("报告.txt", "all good", "text/plain")
    image = MIMEImage(b"\x89PNG", "png")
    image.add_header("Content-ID", "<logo>")
    message.attach(image)
    assert message.send() == 1
    assert sorted(box.messages[0].recipients) == ["ann@example.com", "bob@example.com", "boss@example.com"]
    got = parsed(box)
    assert got["from"] == f"The Shop <{ME}>"
    assert got["cc"] == "bob@example.com"
    assert got["bcc"] is None
    assert got["reply-to"] == "help@example.com"
    assert got["x-ticket"] == "42"
    assert got["message-id"] == "<my.own@example.com>"
    assert {part.get_filename() for part in got.walk() if part.get_filename()} == {"报告.txt"}
    assert any(part["content-id"] == "<logo>" for part in got.walk())


def test_one_connection_carries_many_and_is_closed_by_whoever_opened_it(box: Mailbox) -> None:
    messages = [EmailMessage(f"n{number}", "x", None, ["ann@example.com"]) for number in range(3)]
    assert mail.get_connection().send_messages(messages) == 3
    assert box.server.connections == 1
    with mail.get_connection() as connection:
        for message in messages:
            message.connection = connection
            assert message.send() == 1
        assert connection.open() is False
    assert box.server.connections == 2
    assert connection.open() is True
    connection.close()
    assert len(box.messages) == 6


def test_lazy_texts_international_domains_and_quoted_names(box: Mailbox) -> None:
    to = lazystr("to@öäü.example")
    assert mail.send_mail("s", "b", lazystr(f'"Firstname Sürname" <{ME}>'), [to]) == 1
    assert box.messages[0].recipients == ["to@xn--4ca9at.example"]
    message = parsed(box)
    assert message["from"].addresses[0].display_name == "Firstname Sürname"
    assert message["from"].addresses[0].addr_spec == ME


def test_admins_are_told_and_long_lines_arrive(box: Mailbox) -> None:
    with override_settings(
        ADMINS=[("Ann", "ann@example.com")], EMAIL_SUBJECT_PREFIX="[Shop] ", SERVER_EMAIL=ME
    ):
        mail.mail_admins("It broke", "y" * 2000)
    message = parsed(box)
    assert message["subject"] == "[Shop] It broke"
    assert message.get_content().strip() == "y" * 2000


def test_nothing_to_send_counts_nothing(box: Mailbox) -> None:
    connection = mail.get_connection()
    assert connection.send_messages([]) == 0
    assert connection.send_messages([EmailMessage("s", "b", None, [])]) == 0
    assert mail.send_mass_mail([("s", "b", None, ["a@example.com"]), ("s", "b", None, [])]) == 1
    assert len(box.messages) == 1


def test_the_address_in_from_chooses_the_account(boxes: list[Mailbox]) -> None:
    mail.send_mail("s", "b", f"Other <{OTHER}>", ["ann@example.com"])
    mail.send_mail("s", "b", "webmaster@localhost", ["ann@example.com"])
    assert [len(box.messages) for box in boxes] == [1, 1]
    assert parsed(boxes[0])["from"] == f"webmaster <{ME}>", (
        "Django's default is no address that a provider takes"
    )


def test_settings_name_the_account(boxes: list[Mailbox]) -> None:
    with override_settings(OAUTH_MAILER={"ACCOUNT": OTHER}):
        mail.send_mail("s", "b", f"The Shop <{OTHER}>", ["ann@example.com"])
    assert len(boxes[1].messages) == 1


def test_the_fallback_goes_out_when_the_first_is_certain_to_have_failed(boxes: list[Mailbox]) -> None:
    boxes[0].stop()
    with override_settings(OAUTH_MAILER={"ACCOUNT": ME, "FALLBACK": [OTHER]}):
        assert mail.send_mail("s", "b", ME, ["ann@example.com"]) == 1
    assert len(boxes[1].messages) == 1


def test_an_error_stops_unless_it_is_to_be_silent(box: Mailbox) -> None:
    box.refuse_recipients(b"550 5.1.1 no such user")
    with pytest.raises(RejectedError):
        mail.send_mail("s", "b", None, ["ann@example.com"])
    assert mail.send_mail("s", "b", None, ["ann@example.com"], fail_silently=True) == 0
    box.refuse_recipients(b"250 ok")
    box.hang_up_after_the_message()
    with pytest.raises(OutcomeUnknown):
        mail.send_mail("s", "b", None, ["ann@example.com"])
    assert len(box.server.received) == 1, "what may have been sent is never sent again by itself"


def test_the_outbox_may_send_it_later(home: Path, box: Mailbox) -> None:
    with override_settings(OAUTH_MAILER={"QUEUE": True}):
        assert mail.send_mail("later", "b", None, ["ann@example.com"]) == 1
        more = [EmailMessage(f"number {one}", "b", None, ["ann@example.com"]) for one in range(3)]
        with mail.get_connection() as connection:
            assert connection.send_messages(more[:2]) == 2
            assert connection.send_messages(more[2:]) == 1
        assert connection.send_messages(more[:1]) == 1, "once it is closed it opens what it needs"
    assert not box.messages
    with Outbox(home=home) as outbox:
        outbox.run(once=True)
    assert parsed(box)["subject"] == "later"
    assert len(box.messages) == 5
