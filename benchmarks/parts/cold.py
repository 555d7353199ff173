"""One message by a whole process, from its start to its end: what a job of cron does."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email import policy
from pathlib import Path

from oauth_mailer import Account, Accounts
from oauth_mailer.accounts import secret_variable
from oauth_mailer.auth.google import Access, access_slot
from oauth_mailer.stores import Slot
from oauth_mailer.stores.keyring import SERVICE

from ..job import Job
from ..measure import OURS, ROOT, Bench
from ..servers import gmail, smtp_sink, tls_sink
from ..table import Row, compared, shown
from .scripts import script

__all__ = ["run"]

_USER = "bench@gmail.com"
_MODULES = {"yagmail": "yagmail", "red-mail": "redmail", "google-api-python-client": "googleapiclient"}


def run(bench: Bench) -> Iterator[Row]:
    """Measure."""
    plain = smtp_sink(bench)
    yield from _smtp(bench, "oauth-mailer send, SMTP without TLS and login", plain, ratio=1.0)
    if bench.has("trustme"):
        secured = tls_sink(bench)
        what = "oauth-mailer send, SMTP with TLS, secret from the environment"
        yield from _smtp(bench, what, secured, ratio=1.0)
        yield from _keyring(bench, secured)
    yield from _gmail(bench)


def _smtp(bench: Bench, what: str, job: Job, ratio: float) -> Iterator[Row]:
    login = "environment" if job.user else ""
    environment = {
        "OAUTH_MAILER_HOME": str(_home(bench, job, "environment")),
        "PASSWORD": job.password,
        secret_variable(job.sender): job.password,
    } | _trust(job)
    ready = bench.folder / "ready.eml"
    ready.write_bytes(job.email_message().as_bytes(policy=policy.SMTP))
    items = {OURS: _ours(bench, job, job.sender, environment)}
    for name in ("smtplib", "yagmail", "red-mail"):
        if name not in _MODULES or bench.has(_MODULES[name]):
            items[name] = _theirs(bench, name, script(name, job, password=login), environment)
    if program := bench.program("msmtp"):
        command = [program, "--file=/dev/null", f"--host={job.host}", f"--port={job.port}"]
        command += [f"--from={job.sender}"]
        if job.user:
            command += ["--tls=on", "--tls-starttls=off", f"--tls-trust-file={job.cafile}", "--auth=plain"]
            command += [f"--user={job.user}", "--passwordeval=printenv PASSWORD"]
        items["msmtp"] = lambda: bench.whole([*command, job.to], environment, ready)
    yield from _rows(bench, what, items, "smtplib", f"<= {ratio}")


def _keyring(bench: Bench, job: Job) -> Iterator[Row]:
    environment = {"OAUTH_MAILER_HOME": str(_home(bench, job, "keyring"))} | _trust(job)
    slot = Slot(job.sender, "code")
    environment |= _backend(bench, {f"{SERVICE} {slot}": job.password, f"bench {job.user}": job.password})
    items = {
        OURS: _ours(bench, job, job.sender, environment),
        "smtplib": _theirs(bench, "with-keyring", script("smtplib", job, password="keyring"), environment),
    }
    yield from _rows(bench, "oauth-mailer send, SMTP with TLS, a keyring", items, "smtplib", "<= 1.1")


def _gmail(bench: Bench) -> Iterator[Row]:
    job = gmail(bench)
    home = bench.folder / "home-gmail"
    account = Account(address=_USER, provider="gmail", client={"client_id": "bench"}, store="keyring")
    Accounts(home).add(account)
    access = Access.of(job.token, 3600)
    environment = {"OAUTH_MAILER_HOME": str(home), "OAUTH_MAILER_GMAIL_ENDPOINT": job.base_url}
    environment |= _backend(bench, {f"{SERVICE} {access_slot(account)}": access.line().reveal()})
    token_file = bench.folder / "token.json"
    token = {
        "token": job.token,
        "refresh_token": "1//bench",
        "client_id": "bench",
        "client_secret": "bench",
        "expiry": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    token_file.write_text(json.dumps(token), "utf-8")
    items = {OURS: _ours(bench, job, _USER, environment)}
    for name in ("google-api-python-client", "http.client"):
        if name not in _MODULES or bench.has(_MODULES[name]):
            items[name] = _theirs(bench, name, script(name, job, token_file=str(token_file)), {})
    what = "oauth-mailer send, Gmail API, valid token in a keyring"
    yield from _rows(bench, what, items, "google-api-python-client", "<= 0.5")


def _rows(
    bench: Bench, what: str, items: Mapping[str, Callable[[], float]], first: str, goal: str
) -> Iterator[Row]:
    found = bench.in_turn(items, rounds=2 * bench.rounds - 1)
    for peer in sorted((name for name in found if name != OURS), key=lambda name: (name != first, name)):
        yield Row(
            what=what,
            ours=shown(found[OURS], "ms", 0, 1e3),
            peer=peer,
            theirs=shown(found[peer], "ms", 0, 1e3),
            ratios=compared(found[OURS], found[peer]),
            goal=goal if peer == first else "",
        )


def _ours(bench: Bench, job: Job, sender: str, environment: Mapping[str, str]) -> Callable[[], float]:
    program = shutil.which("oauth-mailer", path=str(Path(sys.executable).parent))
    command = [program] if program else [sys.executable, "-m", "oauth_mailer"]
    command += ["send", "--from", sender, "--to", job.to, "--subject", job.subject(0)]
    command += ["--text", job.text, "--html", job.html]
    here = str(ROOT.parent)
    path = environment.get("PYTHONPATH", "")
    own = {} if program else {"PYTHONPATH": f"{here}{os.pathsep}{path}" if path else here}
    return lambda: bench.whole(command, {**environment, **own})


def _theirs(bench: Bench, name: str, text: str, environment: Mapping[str, str]) -> Callable[[], float]:
    number = len(list(bench.folder.glob("script-*")))
    path = bench.folder / f"script-{number}-{name}.py"
    path.write_text(text, "utf-8")
    return lambda: bench.whole([sys.executable, str(path)], environment)


def _home(bench: Bench, job: Job, store: str) -> Path:
    home = bench.folder / f"home-{store}-{job.security}"
    Accounts(home).add(
        Account(
            address=job.sender,
            host=job.host,
            port=job.port,
            security=job.security,
            auth="code" if job.user else "none",
            store=store,
        )
    )
    return home


def _trust(job: Job) -> dict[str, str]:
    return {"SSL_CERT_FILE": job.cafile} if job.cafile else {}


def _backend(bench: Bench, entries: Mapping[str, str]) -> dict[str, str]:
    """A keyring that costs next to nothing, with these entries."""
    file = bench.folder / f"keyring-{len(list(bench.folder.glob('keyring-*')))}.json"
    file.write_text(json.dumps(entries), "utf-8")
    return {
        "PYTHONPATH": str(ROOT / "keyring_backend"),
        "PYTHON_KEYRING_BACKEND": "json_keyring.Keyring",
        "BENCH_KEYRING_FILE": str(file),
    }
