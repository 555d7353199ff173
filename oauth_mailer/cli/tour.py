"""The steps of ``oauth-mailer try``."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import logins
from ..accounts import Account, Accounts
from ..i18n import _
from ..mailer import Mailer, open_mailer
from ..message import Attachment, Envelope, Message
from ..mime import Content
from ..stores import Secret, StoreOptions, open_store
from ..transports import Acceptance, Transport
from .exits import Fault
from .output import Output
from .terminal import Refusing
from .walker import follow_consent

if TYPE_CHECKING:
    from ..sandbox import Sandbox

__all__ = ["Tour"]

_GMAIL, _QQ = "you@gmail.com", "you@qq.com"
_PERSON, _PROGRAM = 180.0, 30.0
"""Seconds that a person has for the consent page, and the program itself."""


class Tour:
    """Logs in, sends and logs out, by the very code of real sending, and tells of each step.

    ``folder``: where the configuration is written; ``store``: the kind of token store; ``browser``: whether one
    may be opened.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, output: Output, *, store: str, browser: bool) -> None:
        self._sandbox = sandbox
        self._folder = folder
        self._output = output
        settings = Accounts().store_settings(store) if store != "memory" else {}
        self._guide = Guide(output, sandbox.code, browser=browser)
        self._store = open_store(store, StoreOptions(folder, settings, self._guide.ask_secret))
        self._step = 0

    def walk(self) -> list[dict[str, Any]]:
        """Every step; what was received. Raises ``MailerError``, also for a message that arrived otherwise."""
        self._title(_("Log in to {address} by consent").format(address=_GMAIL))
        self._log_in_by_consent()
        self._title(_("Log in to {address} by authorization code").format(address=_QQ))
        self._log_in_by_code()
        shown = []
        for address, way in ((_GMAIL, _("Gmail API")), (_QQ, _("SMTP"))):
            self._title(_("Send as {address} by {way}").format(address=address, way=way))
            shown.append(self._send(address))
        self._title(_("Log out"))
        for address in (_GMAIL, _QQ):
            logins.logout(address, home=self._folder, store=self._store)
        self._done(_("The token is revoked, and both secrets are forgotten."))
        return shown

    def _log_in_by_consent(self) -> None:
        client = self._folder / "client_secret.json"
        client.write_text(json.dumps(self._sandbox.client_secrets), "utf-8")
        self._command(f"login {_GMAIL} --client-secrets {client.name}")
        logins.login(
            _GMAIL,
            prompt=self._guide,
            client_secrets=client,
            timeout=_PERSON if self._guide.has_browser else _PROGRAM,
            home=self._folder,
            store=self._store,
        )
        self._done(_("The token is in the store {store}; it may send mail and nothing else.").format(store=self._store.kind))

    def _log_in_by_code(self) -> None:
        server = self._sandbox.smtp
        self._command(f"login {_QQ} --host {server.host} --smtp-port {server.port} --ca-file ca.pem")
        account = logins.account_for(
            _QQ, host=server.host, port=server.port, security="tls", ca_file=str(server.ca_file), home=self._folder
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
            attachments=[Attachment("all green\n".encode(), filename="报告.txt")],
        )
        self._command(f"send --from {address} --to ann@example.com --cc ... --bcc ... --attach 报告.txt")
        with open_mailer(address, home=self._folder, store=self._store) as opened:
            route = opened.routes[0]
            witness = Witness(route.transport)
            receipt = Mailer(replace(route, transport=witness)).send(message)
        self._done(str(receipt))
        return self._compare(receipt.remote_id, witness)

    def _title(self, text: str) -> None:
        self._step += 1
        self._output.say()
        self._output.say(f"{self._step}/5  {text}", style="bold")

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
    """A prompt that answers by itself: it types the stand-in's code, and follows the page if there is no browser."""

    def __init__(self, output: Output, code: str, *, browser: bool) -> None:
        super().__init__(output, browser=browser)
        self._code = code

    def say(self, text: str) -> None:
        """As in ``Prompt``."""
        for line in text.splitlines():
            self._output.say(f"     {line}")

    def ask_secret(self, question: str) -> Secret:
        """As in ``Prompt``."""
        self.say(_("{question} **************** (typed for you)").format(question=question))
        return Secret(self._code)

    def open_browser(self, url: str) -> bool:
        """As in ``Prompt``."""
        if super().open_browser(url):
            self.say(_("Your browser shows the consent page of the stand-in: press Allow."))
            return True
        self.say(_("There is no browser here, so the program follows the page itself:"))
        # The listener answers in this thread's own login: the page has to be followed beside it.
        threading.Thread(target=self._follow, args=(url,), daemon=True).start()
        return True

    def _follow(self, url: str) -> None:
        try:
            follow_consent(url, self.say)
        except (OSError, ValueError) as error:
            self.say(_("The page could not be followed: {reason}").format(reason=error))
