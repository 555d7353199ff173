"""For each plan of the sandbox, what the server has and what was reported agree, and there are never two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_mailer import Receipt
from oauth_mailer.logins import account_for, login
from oauth_mailer.sandbox import Sandbox, known_steps
from oauth_mailer.stores import Secret, StoreOptions, open_store
from tests.cli.program import run
from tests.support.google_browser import Person

from . import reliability_table
from .reliability import Case, Outcome, Try, cases, outcomes

CASES = list(cases())
PASSPHRASE = "a passphrase of the test"

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def outcome(case: Case) -> Outcome:
    return outcomes()[case].result()


def agree(tried: Try) -> bool:
    """Sent: accepted once; not sent: never; unknown: nobody knows, but not twice."""
    return tried.accepted in {"sent": {1}, "not_sent": {0}, "unknown": {0, 1}}[tried.verdict]


def test_no_step_of_the_sandbox_is_left_out() -> None:
    tried = {(case.server, case.step) for case in CASES} | {("token", "ok")}  # which every login proves
    assert tried == {(server, step) for server, steps in known_steps().items() for step in steps}


@pytest.mark.fault(16, 17, 18, 19, 21, 23, 24, 25)
@every_case
def test_the_verdict_agrees_with_what_the_server_accepted(case: Case) -> None:
    done = outcome(case)
    assert agree(done.first), done.first
    if done.first.verdict == "unknown":
        assert done.first.accepted == case.accepts
    assert case.step in done.met or case.step == "ok", "the step never happened"
    if done.first.verdict != "sent":
        assert not isinstance(done.first.end, Receipt)
        assert done.first.end.code
        assert done.first.end.hint


@every_case
def test_only_what_was_not_sent_is_tried_again_and_it_arrives_once(case: Case) -> None:
    done = outcome(case)
    if done.first.verdict != "not_sent":
        assert done.again is None
    elif done.again is not None:
        assert agree(done.again), done.again
        if done.again.verdict != "sent":  # who was told when to come back is not asked before
            assert not isinstance(done.again.end, Receipt)
            assert done.again.end.retry_after
    if done.next is not None:
        assert (done.next.verdict, done.next.accepted) == ("sent", 1), done.next.end


@pytest.mark.fault(34)
@every_case
def test_only_what_was_not_sent_goes_to_the_fallback_and_there_are_never_two(case: Case) -> None:
    done = outcome(case)
    both = done.fallback.accepted + done.fallback.by_fallback
    if done.first.verdict == "not_sent":
        assert not isinstance(done.first.end, Receipt)
        moves_on = done.first.end.try_next_route
        assert (done.fallback.accepted, done.fallback.by_fallback) == (0, int(moves_on))
        assert done.fallback.verdict == ("sent" if moves_on else "not_sent")
    else:
        assert done.fallback.by_fallback == 0
        assert done.fallback.verdict == done.first.verdict
    assert both <= 1


def test_no_bearer_follows_a_redirect() -> None:
    leading_away = [case for case in CASES if "redirect" in case.step]
    assert {case.server for case in leading_away} == {"gmail", "token"}
    assert [outcome(case).elsewhere for case in leading_away] == [0] * len(leading_away)


def test_the_table_of_the_page_is_what_really_happens() -> None:
    text = reliability_table.PAGE.read_text("utf-8")
    made = reliability_table.page(text)
    assert made.splitlines() == text.splitlines(), "run: python -m tests.faults.reliability_table"


# By the program


@pytest.fixture(scope="module")
def servers() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def set_up(servers: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a host with three accounts, their secrets in an encrypted file."""
    home = tmp_path_factory.mktemp("reliability")
    store = open_store("encrypted_file", StoreOptions(home, {}, lambda _question: Secret(PASSPHRASE)))
    server = servers.smtp
    for address in ("me@qq.com", "refused@qq.com"):
        account = account_for(
            address, host=server.host, port=server.port, ca_file=str(server.ca_file), home=home
        )
        login(account, code=servers.code, home=home, store=store)
    person = Person()
    client = servers.write_client_secrets(home)
    login("me@gmail.com", prompt=person, client_secrets=client, home=home, store=store)
    person.wait()
    return home


@pytest.mark.fault(18, 19, 21, 23, 25, program=True)
@pytest.mark.parametrize(
    ("address", "plan", "ends"),
    [
        ("me@qq.com", {"smtp": "ok"}, (0, "sent", 1)),
        ("me@qq.com", {"smtp": "quit-nul"}, (0, "sent", 1)),
        ("me@qq.com", {"smtp": "554-data"}, (69, "rejected", 0)),
        ("me@qq.com", {"smtp": "421"}, (75, "not_sent", 0)),
        ("me@qq.com", {"smtp": "drop-after-dot"}, (76, "unknown", 1)),
        ("me@qq.com", {"smtp": "drop-at-dot"}, (76, "unknown", 0)),
        # Of an account of its own: what was refused is remembered until somebody acts.
        ("refused@qq.com", {"smtp": "535"}, (77, "not_sent", 0)),
        ("me@gmail.com", {"gmail": "accept-gzip"}, (0, "sent", 1)),
        ("me@gmail.com", {"gmail": "400"}, (69, "rejected", 0)),
        ("me@gmail.com", {"gmail": "429-retry-after"}, (75, "not_sent", 0)),
        ("me@gmail.com", {"gmail": "accept-503"}, (76, "unknown", 1)),
        ("me@gmail.com", {"gmail": "403-domainPolicy"}, (77, "not_sent", 0)),
        ("me@gmail.com", {"gmail": "401", "token": "503"}, (75, "not_sent", 0)),
    ],
    ids=str,
)
def test_a_script_reads_the_same_from_the_exit_code(
    servers: Sandbox, set_up: Path, address: str, plan: dict[str, str], ends: tuple[int, str, int]
) -> None:
    servers.clear()
    servers.plan(**({"smtp": "ok", "gmail": "ok", "token": "ok"} | plan))
    done = run(
        *("send", "--from", address, "--to", "ann@example.com"),
        *("--subject", "Hi", "--text", "Hello", "--json"),
        env={
            "OAUTH_MAILER_HOME": str(set_up),
            "OAUTH_MAILER_PASSPHRASE": PASSPHRASE,
            "OAUTH_MAILER_GMAIL_ENDPOINT": servers.gmail_endpoint,
        },
    )
    assert (done.code, done.json["status"], len(servers.messages)) == ends, done.err
    assert ("Sent folder" in done.err) == (done.json["status"] == "unknown")
