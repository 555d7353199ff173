"""A private Dovecot on loopback: its submission service, with logins by token, before a relay of the test.

What a token is worth is asked of a server of the test's own (RFC 7662). It lives in one temporary folder and
ends by itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from . import certificates, require_program, unavailable
from .http_script import Exchange, HttpScript
from .postfix import _folder, _free_ports
from .server_log import ServerLog
from .smtp_script import Mail, SmtpScript

__all__ = ["OPENID", "Dovecot", "dovecot"]

LIFE = 600  # seconds after which the server ends, should nobody stop it
SCOPE = "https://mail.google.com/"
OPENID = "https://idp.example/.well-known/openid-configuration"

Worth = Callable[[str], tuple[str, str] | None]
"""Whose a token is, and its scopes; nothing for one that is worth nothing."""

_CONF = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
protocols = submission
hostname = mx.corp.example
ssl = required
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.pem
auth_mechanisms = {mechanisms}
auth_verbose = yes
auth_failure_delay = 0
mail_location = maildir:~/mail
default_vsz_limit = 0
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer plain
  args = {folder}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/home allow_all_users=yes
}}
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
submission_relay_ssl = no
service submission-login {{
  chroot =
  inet_listener submission {{
    address = 127.0.0.1
    port = {starttls}
  }}
  inet_listener submissions {{
    address = 127.0.0.1
    port = {tls}
    ssl = yes
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""

_OAUTH2 = """
introspection_url = {introspection}/introspect
introspection_mode = post
force_introspection = yes
username_attribute = username
active_attribute = active
active_value = true
scope = {scope}
openid_configuration_url = {openid}
"""


@dataclass
class Dovecot:
    """The running server. ``ports``: by the kind of security; ``asked``: the tokens it asked about."""

    ports: Mapping[str, int]
    relay: SmtpScript
    log: ServerLog
    asked: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> list[Mail]:
        """What it took, and handed on."""
        return self.relay.accepted

    def logins(self, mechanism: str) -> int:
        """How many logins by this mechanism it has granted."""
        return sum(bool(re.search(rf"Login: .*method={mechanism},", line)) for line in self.log.lines)


@contextmanager
def dovecot(worth: Worth, mechanisms: str = "plain xoauth2 oauthbearer") -> Iterator[Dovecot]:
    """Run it."""
    program = require_program("dovecot", "dovecot-core")
    if not Path("/usr/lib/dovecot/submission-login").exists():
        unavailable("needs Dovecot's submission service: install Debian's package dovecot-submissiond")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("2.3."):  # others are configured in another language
        unavailable(f"needs Dovecot 2.3, and this is {version.strip()}")
    if os.geteuid() != 0:
        unavailable("needs root: Dovecot changes to users of its own")
    asked: list[str] = []
    with ExitStack() as stack:
        folder = _folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        relay = stack.enter_context(SmtpScript(security="none", extensions=("PIPELINING", "8BITMIME")))
        judge = stack.enter_context(HttpScript(_introspecting(worth, asked)))
        starttls, tls = _free_ports(2)
        values = {
            "folder": folder,
            "relay": relay.port,
            "starttls": starttls,
            "tls": tls,
            "mechanisms": mechanisms,
            "introspection": judge.url,
            "scope": SCOPE,
            "openid": OPENID,
        }
        (folder / "dovecot.conf").write_text(_CONF.format_map(values))
        (folder / "oauth2.conf").write_text(_OAUTH2.format_map(values))
        shutil.copy(certificates.key_and_chain(), folder / "server.pem")
        log = ServerLog(["timeout", str(LIFE), program, "-F", "-c", str(folder / "dovecot.conf")])
        stack.callback(log.stop)
        log.wait_for("starting up")
        yield Dovecot({"starttls": starttls, "tls": tls}, relay, log, asked)


def _introspecting(worth: Worth, asked: list[str]) -> Callable[[Exchange], bool]:
    def step(exchange: Exchange) -> bool:
        request = exchange.read_all()
        if request is None:
            return False
        token = parse_qs(request.body.decode())["token"][0]
        asked.append(token)
        found = worth(token)
        answer: dict[str, Any] = {"active": found is not None}
        if found is not None:
            answer |= {"username": found[0], "scope": found[1], "token_type": "Bearer"}
        exchange.say("200 OK", answer, Content_Type="application/json")
        return True

    return step
