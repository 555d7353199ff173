"""What may be said of where the outbox is, and what of it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_mailer import ConfigError, OutboxError
from oauth_mailer.outbox import Outbox


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("postgresql://me:pass@word@localhost/mail", "%40"),
        ("postgresql://me:pass@wo/rd:@localhost:5432/mail", "%40"),
        ("sqlite:///mail.db?mode=ro", "timeout"),
        ("sqlite:///mail.db?timeout=long", "timeout"),
        ("mysql://me:password@localhost/mail", "postgresql://"),
        ("somewhere", "postgresql://"),
    ],
)
def test_a_place_that_is_none_is_refused_without_a_secret(url: str, hint: str, home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Outbox(url, home=home)
    assert caught.value.code == "outbox-url"
    assert hint in caught.value.hint
    assert "me:" not in str(caught.value)


def test_a_place_that_cannot_be_reached_is_shown_as_it_was_written_but_for_the_password(home: Path) -> None:
    outbox = Outbox("postgresql://me:s%40cret@127.0.0.1:1/mail?connect_timeout=5&password=second", home=home)
    with pytest.raises(OutboxError) as caught:
        outbox.stats()
    assert "postgresql://me:***@127.0.0.1:1/mail " in str(caught.value)
    assert "cret" not in str(caught.value)
    assert "second" not in str(caught.value)


def test_the_short_name_of_postgresql_serves_as_well(home: Path) -> None:
    outbox = Outbox("postgres://me@127.0.0.1:1/mail?connect_timeout=5", home=home)
    with pytest.raises(OutboxError) as caught:
        outbox.stats()
    assert "127.0.0.1:1/mail" in str(caught.value)
