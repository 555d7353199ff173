"""An account whose login failed, and what happens once a person has acted."""

from __future__ import annotations

import threading

from oauth_mailer.outbox import Event
from tests.support.halts import Stop, before
from tests.support.outbox_place import ME, Place, add
from tests.support.smtp_script import CODE, SmtpScript


def test_an_account_waits_for_nobody_while_it_is_tried_again(place: Place) -> None:
    """So whoever looks whether it still waits does not end the run that is about to send."""
    tried, done = Stop(), threading.Event()
    with SmtpScript() as server, place.outbox() as outbox:
        place.account(server, code="wrong")
        add(outbox, 3)
        outbox.run(once=True)
        assert set(outbox.stats().paused) == {ME}
        place.code(ME, CODE)
        server.answer("mail", before(tried, b"250 ok\r\n"))

        def listen(_event: Event) -> None:
            if len(server.accepted) == 3:
                done.set()

        worker = threading.Thread(target=outbox.run, kwargs={"on_event": listen, "stop": done})
        worker.start()
        try:
            tried.wait()
            assert outbox.stats().paused == {}
            tried.go_on()
            assert done.wait(60)
        finally:
            tried.go_on()
            done.set()
            worker.join(60)


def test_one_try_that_fails_again_is_not_followed_by_the_next_at_once(place: Place) -> None:
    with SmtpScript() as server, place.outbox() as outbox:
        place.account(server, code="wrong")
        add(outbox, 3)
        outbox.run(once=True)
        place.account(server, logged_in="2026-11-25T09:00:00+00:00")
        server.answer("auth", b"454 4.7.0 too many login attempts, try again later\r\n")
        outbox.run(once=True)
        tries = len(server.auths)
        outbox.run(once=True)
        assert len(server.auths) == tries == 2
