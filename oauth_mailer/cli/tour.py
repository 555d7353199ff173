"""The steps of ``oauth-mailer try``."""

from __future__ import annotations

import email.message
import email.policy
import json
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import logins
from ..accounts import Accounts
from ..errors import MailerError
from ..i18n import _
from ..mailer import Mailer, open_mailer
from ..message import Attachment, Envelope, Message
from ..mime import Content
from ..routes import Receipt
from ..stores import Secret, StoreOptions, open_store
from ..transports import Acceptance, Transport
from .exits import Fault
from .output import Output
from .terminal import Refusing, has_browser
from .walker import follow_consent

if TYPE_CHECKING:
    from ..sandbox import Sandbox

__all__ = ["Tour"]

_GMAIL = "you@gmail.com"
_PERSON, _PROGRAM = 180.0, 30.0
"""Seconds that a person has for the consent page, and the program itself."""

_STEPS = 5


class Tour:
    """Logs in, sends and logs out, by the very code of real sending, and tells of each step.

    ``folder``: where the configuration is written; ``store``: the kind of token store; ``settings``: the
    user's own for it; ``browser``: whether one may be opened.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        output: Output,
        *,
        store: str,
        settings: Mapping[str, Any],
        browser: bool,
    ) -> None:
        self._sandbox = sandbox
        self._folder = folder
        self._output = output
        # A store that lasts may hold the code of a real account: this name is nobody's.
        self._qq = "you@qq.com" if store == "memory" else f"try-{secrets.token_hex(6)}@qq.com"
        self._guide = Guide(output, sandbox.code, browser=browser)
        self._store = open_store(store, StoreOptions(folder, settings, self._guide.ask_secret))
        self._step = 0

    def walk(self) -> list[dict[str, Any]]:
        """Every step; what was received. Raises ``MailerError``, also for a message that arrived changed."""
        try:
            self._title(_("Log in to {address} by consent").format(address=_GMAIL))
            self._log_in_by_consent()
            self._title(_("Log in to {address} by authorization code").format(address=self._qq))
            self._log_in_by_code()
            shown = []
            for address, way in ((_GMAIL, _("Gmail API")), (self._qq, _("SMTP"))):
                self._title(_("Send as {address} by {way}").format(address=address, way=way))
                shown.append(self._send(address))
            self._title(_("Log out"))
        except BaseException:
            with suppress(MailerError):  # the first error is the one to tell
                self._log_out()
            raise
        self._log_out()
        self._done(_("The token is revoked, and both secrets are forgotten."))
        return shown

    def _log_out(self) -> None:
        """Out of every account that was logged in to so far, so that nothing stays in the store."""
        for account in list(Accounts(self._folder)):
            logins.logout(account.address, home=self._folder, store=self._store)

    def _log_in_by_consent(self) -> None:
        client = self._folder / "client_secret.json"
        client.write_text(json.dumps(self._sandbox.client_secrets), "utf-8")
        self._command(f"login {_GMAIL} --client-secrets {client.name}")
        logins.login(
            _GMAIL,
            prompt=self._guide,
            client_secrets=client,
            timeout=_PERSON if self._guide.seen_by_a_person else _PROGRAM,
            home=self._folder,
            store=self._store,
        )
        self._guide.finish()
        self._done(
            _("The token is in the store {store}; it may send mail and nothing else.").format(
                store=self._store.kind
            )
        )

    def _log_in_by_code(self) -> None:
        server = self._sandbox.smtp
        self._command(f"login {self._qq} --host {server.host} --smtp-port {server.port} --ca-file ca.pem")
        account = logins.account_for(
            self._qq,
            host=server.host,
            port=server.port,
            security="tls",
            ca_file=str(server.ca_file),
            home=self._folder,
        )
        logins.login(account, prompt=self._guide, home=self._folder, store=self._store)
        self._done(_("The server accepted the code, by one login inside verified TLS."))

    def _send(self, address: str) -> dict[str, Any]:
        message = Message(
            to="Ann <ann@example.com>",
            cc="李雷 <lilei@example.com>",
            bcc="boss@example.com",
            subject="It works. 你好，世界",
            text="This went through the real code.\n这是一封测试邮件。\n",
            html="<p>This went through the <b>real</b> code.</p><p>这是一封测试邮件。</p>",
            attachments=[Attachment(b"all green\n", filename="报告.txt")],
        )
        self._command(f"send --from {address} --to ann@example.com --cc ... --bcc ... --attach 报告.txt")
        with open_mailer(address, home=self._folder, store=self._store) as opened:
            route = opened.routes[0]
            witness = Witness(route.transport)
            receipt = Mailer(replace(route, transport=witness)).send(message)
        self._done(str(receipt))
        return self._compare(receipt, witness)

    def _compare(self, receipt: Receipt, witness: Witness) -> dict[str, Any]:
        """Show what the other side has, which is what was handed over, octet for octet."""
        received = next((one for one in self._sandbox.messages if one.id in receipt.remote_id), None)
        if received is None or received.delivered != witness.handed:
            raise Fault(
                _("The message did not arrive as it was sent."),
                code="try-differs",
                hint=_("Run it again with --keep and --verbose, and report what it shows."),
            )
        path = self._folder / f"{received.route}.eml"
        path.write_bytes(received.delivered)
        message = email.message_from_bytes(received.delivered, policy=email.policy.default)
        self._output.say("     " + _("Received, octet for octet as it was sent:"))
        for line in _shown(message, received.recipients):
            self._output.say(f"     │ {line}")
        return {
            "route": received.route,
            "account": received.account,
            "message_id": receipt.message_id,
            "remote_id": receipt.remote_id,
            "recipients": list(received.recipients),
            "subject": message["Subject"],
            "size": len(received.delivered),
        }

    def _title(self, text: str) -> None:
        self._step += 1
        self._output.say()
        self._output.say(f"{self._step}/{_STEPS}  {text}", style="bold")

    def _command(self, words: str) -> None:
        self._output.say(f"     $ oauth-mailer {words}", style="dim")

    def _done(self, text: str) -> None:
        self._output.say(f"     {text}", style="green")


class Witness:
    """A transport that remembers what it was handed, and hands it on."""

    def __init__(self, transport: Transport) -> None:
        self.name = transport.name
        self.handed = b""
        self._transport = transport

    def send(self, envelope: Envelope, content: Content) -> Acceptance:
        """As in ``Transport``."""
        self.handed = b"".join(content.blocks())
        return self._transport.send(envelope, content)

    def close(self) -> None:
        """As in ``Transport``."""
        self._transport.close()


class Guide(Refusing):
    """A prompt that answers by itself: types the stand-in's code, and follows the page without a browser."""

    def __init__(self, output: Output, code: str, *, browser: bool) -> None:
        super().__init__(output, browser=browser)
        self._output = output
        self._code = code
        self._url = ""
        self._follower: threading.Thread | None = None
        self.seen_by_a_person = browser and has_browser()

    def say(self, text: str) -> None:
        """As in ``Prompt``; where nobody sees the consent page, no words on how to open it."""
        if self._url and not self.seen_by_a_person:
            return
        for line in text.splitlines():
            self._output.say(f"     {line}")

    def ask_secret(self, question: str) -> Secret:
        """As in ``Prompt``."""
        self.say(_("{question} **************** (typed for you)").format(question=question.rstrip()))
        return Secret(self._code)

    def open_browser(self, url: str) -> bool:
        """As in ``Prompt``."""
        self._url = url
        if self.seen_by_a_person and not super().open_browser(url):
            self.seen_by_a_person = False
        return self.seen_by_a_person

    def ask(self, question: str, done: threading.Event) -> str | None:
        """As in ``Prompt``: asked for the answer of the consent page, it gets it as a browser would."""
        self._tell(_("No browser is opened: the program follows the consent page itself."))
        # The last page comes only when the login has gone on, which it does from here.
        self._follower = threading.Thread(target=self._follow, args=(self._url,), daemon=True)
        self._follower.start()
        done.wait(_PROGRAM)
        return None

    def finish(self) -> None:
        """Wait for the last page."""
        self._url = ""
        if self._follower is not None:
            self._follower.join(_PROGRAM)

    def _follow(self, url: str) -> None:
        try:
            follow_consent(url, self._tell)
        except (OSError, ValueError) as error:
            self._tell(_("The page could not be followed: {reason}").format(reason=error))

    def _tell(self, text: str) -> None:
        self._output.say(f"     {text}", style="dim")


def _shown(message: email.message.EmailMessage, recipients: Sequence[str]) -> Iterator[str]:
    for name in ("From", "To", "Cc", "Subject"):
        yield f"{name}: {message[name]}"
    yield _("(to, by the envelope: {recipients})").format(recipients=", ".join(recipients))
    others = []
    for part in message.walk():
        if part.is_multipart():
            continue
        content = part.get_content()
        if file_name := part.get_filename():
            others.append(_("[attachment {name}, {size} octets]").format(name=file_name, size=len(content)))
        elif part.get_content_type() == "text/plain":
            yield from ("", *content.splitlines(), "")
        else:
            others.append(f"[{part.get_content_type()}]")
    yield " ".join(others)
