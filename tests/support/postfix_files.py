"""The configuration of a private Postfix and Dovecot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import trustme

from . import certificates

CODE = "canary-code-5531"
USER = "me@corp.example"
STRANGER = "you@corp.example"
SIZE_LIMIT = 300_000  # octets of a message

WAYS: Mapping[str, tuple[str, ...]] = {
    "starttls": ("smtpd_tls_security_level=encrypt", "smtpd_tls_auth_only=yes"),
    "tls": ("smtpd_tls_wrappermode=yes",),
    "plain": ("smtpd_tls_wrappermode=yes", "smtpd_sasl_mechanism_filter=plain"),
    "login": ("smtpd_tls_wrappermode=yes", "smtpd_sasl_mechanism_filter=login"),
    "cram-md5": ("smtpd_tls_wrappermode=yes", "smtpd_sasl_mechanism_filter=cram-md5"),
    "impatient": ("smtpd_tls_wrappermode=yes", "smtpd_timeout=1s"),
    "other-authority": ("smtpd_tls_wrappermode=yes", "smtpd_tls_chain_files={folder}/other.pem"),
    "starttls-other-authority": (
        "smtpd_tls_security_level=encrypt",
        "smtpd_tls_chain_files={folder}/other.pem",
    ),
}
"""The ports: what each of them does besides what all do."""

_QUEUE = "active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace"

_MASTER = """
postlog   unix-dgram n - n - 1 postlogd
tlsmgr    unix  -    - n 1000? 1 tlsmgr
cleanup   unix  n    - n - 0 cleanup
qmgr      unix  n    - n 300 1 qmgr
rewrite   unix  -    - n - - trivial-rewrite
bounce    unix  -    - n - 0 bounce
defer     unix  -    - n - 0 bounce
trace     unix  -    - n - 0 bounce
virtual   unix  -    n n - - virtual
error     unix  -    - n - - error
retry     unix  -    - n - - error
proxymap  unix  -    - n - - proxymap
"""

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = /dev/stdout
myhostname = mx.corp.example
mydestination =
mynetworks =
inet_protocols = ipv4
alias_maps =
alias_database =
biff = no
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
message_size_limit = {limit}
virtual_mailbox_domains = example.com
virtual_mailbox_maps = texthash:{folder}/mailboxes
virtual_mailbox_base = {folder}/mail
virtual_mailbox_limit = 0
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_tls_chain_files = {folder}/server.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/dovecot/postfix
smtpd_sender_login_maps = texthash:{folder}/logins
smtpd_sender_restrictions = reject_sender_login_mismatch
smtpd_relay_restrictions = permit_sasl_authenticated, reject
"""

_DOVECOT = """
base_dir = {folder}/dovecot
log_path = /dev/stderr
protocols =
ssl = no
auth_mechanisms = plain login cram-md5
auth_verbose = yes
auth_failure_delay = 0
default_vsz_limit = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/passwords
}}
service auth {{
  unix_listener postfix {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


def write(folder: Path, recipients: Sequence[str]) -> None:
    import pwd

    nobody, owner = pwd.getpwnam("nobody"), pwd.getpwnam("postfix")
    for name in ("etc", "queue", "data", "mail", "dovecot", *(f"queue/{one}" for one in _QUEUE.split())):
        (folder / name).mkdir(mode=0o755)
    for name in ("data", *(f"queue/{one}" for one in _QUEUE.split() if one != "pid")):
        os.chown(folder / name, owner.pw_uid, -1)
    os.chown(folder / "mail", nobody.pw_uid, nobody.pw_gid)
    values = {"folder": folder, "limit": SIZE_LIMIT, "uid": nobody.pw_uid, "gid": nobody.pw_gid}
    (folder / "etc/main.cf").write_text(_MAIN.format_map(values))
    (folder / "mailboxes").write_text("".join(f"{one}@example.com {one}/\n" for one in recipients), "utf-8")
    (folder / "logins").write_text(f"{USER} {USER}\n{STRANGER} {STRANGER}\n")
    (folder / "passwords").write_text(f"{USER}:{CODE}\n")
    (folder / "dovecot.conf").write_text(_DOVECOT.format_map(values))
    shutil.copy(certificates.key_and_chain(), folder / "server.pem")
    other = trustme.CA().issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem
    other.write_to_path(str(folder / "other.pem"))
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # whatever the umask
        _let_rest(path)


def write_services(folder: Path, ports: Mapping[str, int]) -> None:
    services = "".join(
        f"127.0.0.1:{ports[way]} inet n - n - - smtpd"
        + "".join(f" -o {option.format(folder=folder)}" for option in options)
        + "\n"
        for way, options in WAYS.items()
    )
    (folder / "etc/master.cf").write_text(_MASTER + services)
    _let_rest(folder / "etc/master.cf")


def _let_rest(path: Path) -> None:
    """Postfix waits with a file until its latest change is some seconds ago."""
    os.utime(path, (0, 0))
