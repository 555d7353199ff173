"""The consent page before a person, and the way of its answer back to this computer."""

from __future__ import annotations

from ..accounts import Account
from ..auth import Authority, Prompt
from ..errors import LoginRequired
from ..i18n import _
from ..replies import readable
from ..stores import Secret
from ..wire.loopback import Answer, Listener
from .ssh import ssh_host

__all__ = ["answer_of", "code_of", "show"]

_MOST_LINES = 50
"""Lines that are looked at for the answer: a program that floods us with others is not heard for ever."""


def show(url: str, listener: Listener, prompt: Prompt, authority: Authority, *, opened: bool) -> None:
    """Bring the page before the person. ``opened``: a browser shows it on this machine."""
    if opened:
        prompt.say(
            _("Your browser shows {title}'s page: allow it there. If it does not, open this address:").format(
                title=authority.title
            )
        )
        prompt.say(url)
        return
    prompt.say(_("Open this address in a browser, and allow it there:"))
    prompt.say(url)
    port = int(listener.redirect_uri.rstrip("/").rpartition(":")[2])
    host = ssh_host()
    prompt.say(
        _(
            "On another computer the browser ends on a page that cannot be loaded: paste the whole address "
            "of that page here.\n"
            "Or forward the port first, and the page loads: ssh -L {port}:127.0.0.1:{port} HOST"
        ).format(port=port)
        if host is None
        else _(
            "You are here over SSH: the browser on your own computer ends on a page that cannot be loaded. "
            "Paste the whole address of that page here.\n"
            "Or first type the next line in a second terminal of your own computer, and the page loads. "
            "(If you reach this computer by another name than {host}, write that.)\n"
            "{command}"
        ).format(host=host.address, command=host.forward(port))
    )


def answer_of(listener: Listener, prompt: Prompt, *, ask: bool) -> Answer:
    """What came back. ``ask``: the person may type it. Raises ``LoginRequired`` where nothing did."""
    for _number in range(_MOST_LINES if ask else 0):
        line = prompt.ask(_("Address of the page that failed to load:"), listener.done)
        if line is None:
            break
        if listener.done.is_set() or listener.take(line):
            break
        if line.strip():
            prompt.say(
                _(
                    "That is not the answer to this login. It is an address that begins with {redirect} and "
                    "holds code= and state=."
                ).format(redirect=listener.redirect_uri)
            )
    if (answer := listener.wait()) is None:
        raise LoginRequired(
            _("Nobody answered the consent page in time. Nothing was changed."),
            code="consent-timeout",
            hint=_("Start the login again; --timeout SECONDS gives more time."),
        )
    return answer


def code_of(answer: Answer, account: Account, authority: Authority) -> Secret:
    """The code in the answer. Raises ``LoginRequired`` where the page gave none."""
    if not answer.error:
        return answer.code
    error, description = (
        readable(text.encode("utf-8", "replace")) for text in (answer.error, answer.description)
    )
    if answer.error == "access_denied":
        raise authority.denied(account, description)
    raise authority.not_asked(account, error, description)
