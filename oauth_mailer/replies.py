"""What SMTP servers answer, as rows of data: the kind of error, the earliest retry, the cause, the remedy.

A row's pattern is looked for at the start of ``STAGE CODE TEXT``, such as ``rcpt 550 RP:TRC quota``; the
first row that fits counts, those of the provider before the general ones. What a provider says is one row.

Sources: RFC 5321 §4.2, RFC 3463 and RFC 4954 §6 for the general rows; NetEase's help on bounce codes
(help_spam_16) for ``netease``; Google's list of SMTP errors (Workspace help 3726730) for ``gmail``;
Microsoft's pages "Fix issues with printers, scanners, and LOB applications" and "Exchange Online limits" for
``microsoft``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from .errors import LoginRequired, RejectedError, RouteError, SendError, TransientError
from .i18n import N_, _
from .values import dataclass

__all__ = ["ROWS", "Row", "Stage", "decode_reply", "readable"]

Stage = Literal["connect", "ehlo", "starttls", "auth", "token", "mail", "rcpt", "data", "dot"]
"""What the server answers: the connection, a command, or (``dot``) the end of the message.

``token`` is a login by a token: rows for ``auth`` hold there too, after those for ``token`` before them."""

MAX_SHOWN = 500
"""Characters of a reply that are shown."""

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of reply.

    ``pattern``: a regular expression; ``word``: the error's stable code; ``cause`` and ``remedy`` may
    name ``{host}``, ``{address}`` (the account's), ``{reply}`` and ``{reason}`` (why a token is refused);
    ``wait``: seconds until the next try makes sense.
    """

    pattern: str
    kind: type[SendError]
    word: str
    cause: str
    remedy: str
    wait: float | None = None


_LOGIN = N_("Run: oauth-mailer login {address}")
_LATER = N_("Nothing was sent; send it again later.")
_TOMORROW = N_("Send it tomorrow, or by another account with --fallback.")
_ADMIN = N_("Ask whoever runs {host}, or use another account with --fallback.")
_AS_ITSELF = N_("Send it with the From address {address}, or log in to the account it is from.")
_SMALLER = N_("Share large files by a link, or send them in several messages.")
_MEND = N_("Mend the message as the reply says, and send it again.")
_RECIPIENT = N_("Check the address and send it again.")

_MISMATCH = N_("{host} lets this account send as itself only: {reply}")
_DAILY = N_("The account's sending limit for today is used up: {reply}")
_RATE = N_("{host} finds that too much is being sent just now: {reply}")
_SPAM = N_("{host} takes the message for spam: {reply}")
_TOO_LARGE = N_("{host} refused the message for its size or its attachments: {reply}")
_BLOCKED = N_("{host} has blocked the IP address of this computer for now: {reply}")

_QQ = (
    Row(
        r"auth 5\d\d",
        LoginRequired,
        "login-refused",
        N_(
            "QQ Mail refused the login, with one reply for five causes: the account is abnormal; the SMTP "
            "service is not switched on; the authorization code is wrong (changing the QQ password cancels "
            "every code); too many logins in a short time; or the system is busy. "
            "The last two pass by themselves."
        ),
        N_(
            "If this code worked before, try again in 15 minutes, not sooner. Else look at Settings > "
            "Account in QQ Mail, make a new code there and run: oauth-mailer login {address}"
        ),
        15 * _MINUTE,
    ),
    Row(r"\w+ 5\d\d .*mail from address must be same", RouteError, "sender-mismatch", _MISMATCH, _AS_ITSELF),
    Row(
        r"\w+ 5\d\d .*From\W+header is missing or invalid",
        RejectedError,
        "from-header",
        N_("QQ Mail cannot read the From header: {reply}"),
        N_("In a finished message, encode only the display name of From, never the whole field."),
    ),
    Row(r"\w+ 5\d\d .*frequency limited", TransientError, "rate-limit", _RATE, _LATER, 15 * _MINUTE),
)

_NETEASE = (
    Row(
        r"auth 554 .*(HL:IHU|HL:IPB|auth error limit)",
        TransientError,
        "ip-blocked",
        _BLOCKED,
        _LATER,
        _HOUR,
    ),
    Row(
        r"auth 5\d\d",
        LoginRequired,
        "login-refused",
        N_(
            "NetEase refused the login: the client authorization code is wrong or no longer valid, "
            "or the SMTP service is not switched on: {reply}"
        ),
        N_(
            "NetEase blocks the IP address after too many wrong codes, so do not repeat one. Switch on SMTP "
            "and make a code in the settings of the mailbox, then run: oauth-mailer login {address}"
        ),
    ),
    Row(r"\w+ 421 .*HL:(REP|ICC|IFC|MEP)\b", TransientError, "ip-throttled", _RATE, _LATER, 15 * _MINUTE),
    Row(r"\w+ 450 .*(MI:CEL|MI:CCL)\b", TransientError, "rate-limit", _RATE, _LATER, 5 * _MINUTE),
    Row(r"\w+ 45\d .*(MI:DMC|RP:DRC)\b", TransientError, "connection-quota", _RATE, _LATER, _MINUTE),
    Row(r"\w+ 451 .*MI:SFQ\b", TransientError, "rate-limit", _RATE, _LATER, 15 * _MINUTE),
    Row(r"\w+ 451 .*RP:QRC\b", TransientError, "rate-limit", _RATE, _LATER, 15 * _MINUTE),
    Row(r"\w+ 451 .*DT:SPM\b", TransientError, "spam-later", _SPAM, _LATER, 2 * _MINUTE),
    Row(r"\w+ 55\d .*(MI:STC|RP:TRC)\b", TransientError, "daily-limit", _DAILY, _TOMORROW, _DAY),
    Row(
        r"\w+ 550 .*RP:RCL\b",
        RejectedError,
        "too-many-recipients",
        N_("The message has more recipients than {host} allows: {reply}"),
        N_("Send it several times, each to fewer recipients."),
    ),
    Row(
        r"\w+ 552 .*(Illegal Attachment|MI:SIZ|mailsize)",
        RejectedError,
        "message-too-large",
        _TOO_LARGE,
        _SMALLER,
    ),
    Row(r"\w+ 55\d .*DT:SPM\b", RejectedError, "spam", _SPAM, _MEND),
    Row(r"\w+ 554 .*DT:SUM\b", RouteError, "sender-mismatch", _MISMATCH, _AS_ITSELF),
    Row(
        r"\w+ 554 .*(HL:IHU|HL:IPB|auth error limit|IP is rejected)",
        TransientError,
        "ip-blocked",
        _BLOCKED,
        _LATER,
        _HOUR,
    ),
    Row(r"\w+ 5\d\d .*must equal authorized user", RouteError, "sender-mismatch", _MISMATCH, _AS_ITSELF),
)

_MICROSOFT = (
    Row(
        r"auth 535 .*SmtpClientAuthentication is disabled",
        LoginRequired,
        "smtp-switched-off",
        N_("SMTP is switched off for {address}, or for all of its organisation: {reply}"),
        N_(
            "Switch Authenticated SMTP on: at Microsoft 365 an administrator does it for the mailbox "
            "(https://aka.ms/smtp_auth_disabled); at Outlook.com it is in Settings > Mail > Forwarding and "
            "IMAP. Then run: oauth-mailer login {address}"
        ),
    ),
    Row(
        r"token 535",
        LoginRequired,
        "login-refused",
        N_(
            "Microsoft's SMTP did not accept the access token{reason}. It has to be this mailbox's own, of a "
            "consent to SMTP.Send: {reply}"
        ),
        _LOGIN,
    ),
    Row(r"\w+ 5\d\d 5\.1\.90", TransientError, "daily-limit", _DAILY, _TOMORROW, _DAY),
    Row(
        r"\w+ 4\d\d .*(thread|connections) limit exceeded",
        TransientError,
        "rate-limit",
        _RATE,
        _LATER,
        _MINUTE,
    ),
    Row(
        r"\w+ 5\d\d .*OutboundSpamException",
        RouteError,
        "account-blocked",
        N_("Microsoft does not let {address} send until its owner has proven to be a person: {reply}"),
        N_("Log in at https://outlook.live.com, follow what it asks for, and send it again."),
    ),
)

_GMAIL = (
    Row(
        r"token 53[45]",
        LoginRequired,
        "login-refused",
        N_(
            "Gmail's SMTP did not accept the access token{reason}. It has to be this account's own, of a "
            "consent to https://mail.google.com/, which an administrator of a Workspace domain may forbid: "
            "{reply}"
        ),
        _LOGIN,
    ),
    Row(
        r"auth 53[45] 5\.7\.(9|11|1|14)\b",
        LoginRequired,
        "login-refused",
        N_("Gmail asks for an app password or a login in the browser: {reply}"),
        N_(
            "Switch on 2-step verification, make an app password at "
            "https://myaccount.google.com/apppasswords and run: "
            "oauth-mailer login {address} --provider gmail-smtp"
        ),
    ),
    Row(
        r"auth 535",
        LoginRequired,
        "login-refused",
        N_("Gmail refused the user name and the password: {reply}"),
        N_(
            "The plain account password does not work here: use an app password (changing the Google "
            "password cancels it). Run: oauth-mailer login {address}"
        ),
    ),
    Row(r"\w+ 5\d\d 5\.4\.5\b", TransientError, "daily-limit", _DAILY, _TOMORROW, _DAY),
    Row(r"\w+ 421 4\.7\.\d+", TransientError, "rate-limit", _RATE, _LATER, 10 * _MINUTE),
    Row(r"auth 454 4\.7\.0 .*too many login", TransientError, "login-limit", _RATE, _LATER, _HOUR),
    Row(r"(data|dot) 552 5\.7\.0", RejectedError, "attachment-refused", _TOO_LARGE, _MEND),
)

_GENERAL = (
    Row(
        r"connect 5",
        RouteError,
        "server-refuses",
        N_("{host} takes no mail from this computer: {reply}"),
        _ADMIN,
    ),
    Row(
        r"ehlo 5",
        RouteError,
        "ehlo-refused",
        N_("{host} refused the greeting: {reply}"),
        N_("If it asks for a host name, set helo = NAME for the account {address} in the configuration."),
    ),
    Row(r"starttls 5", RouteError, "starttls-refused", N_("{host} refused to encrypt: {reply}"), _ADMIN),
    Row(
        r"auth 50\d|auth 538",
        RouteError,
        "auth-mechanism",
        N_("{host} did not understand the login: {reply}"),
        _ADMIN,
    ),
    Row(
        r"token 5\d\d .*insufficient_scope",
        LoginRequired,
        "scope-missing",
        N_("{host} wants an access token with another scope{reason}: {reply}"),
        _LOGIN,
    ),
    Row(
        r"token 5",
        LoginRequired,
        "login-refused",
        N_("{host} did not accept the access token{reason}: {reply}"),
        _LOGIN,
    ),
    Row(r"auth 5", LoginRequired, "login-refused", N_("{host} refused the login: {reply}"), _LOGIN),
    Row(
        r"auth 4",
        TransientError,
        "login-later",
        N_("{host} cannot check the login now: {reply}"),
        _LATER,
        300.0,
    ),
    Row(
        r"\w+ 421",
        TransientError,
        "server-closing",
        N_("{host} takes no mail just now: {reply}"),
        _LATER,
        _MINUTE,
    ),
    Row(
        r"\w+ 530|\w+ 5\d\d .*authentication (is )?required",
        RouteError,
        "auth-required",
        N_("{host} asks for a login first: {reply}"),
        N_("Run: oauth-mailer login {address} (a code is never sent over an unencrypted connection)"),
    ),
    Row(
        r"\w+ 5\d\d .*(not owned by user|must be (the )?same|must equal auth|SendAsDenied|to send as this)",
        RouteError,
        "sender-mismatch",
        _MISMATCH,
        _AS_ITSELF,
    ),
    Row(r"\w+ 5\d\d .*\bdaily\b.{0,60}(limit|quota)", TransientError, "daily-limit", _DAILY, _TOMORROW, _DAY),
    Row(r"mail (552|5\d\d 5\.3\.4)", RejectedError, "message-too-large", _TOO_LARGE, _SMALLER),
    Row(r"mail 5", RouteError, "sender-refused", N_("{host} refused the sender: {reply}"), _AS_ITSELF),
    Row(
        r"rcpt 5\d\d .*(?<![\w.@+-])relay(ing)?(?!\w|[.@+-]\w)",  # the word, not a part of an address
        RouteError,
        "relay-denied",
        N_("{host} sends nothing on for this account: {reply}"),
        _ADMIN,
    ),
    Row(
        r"rcpt 5", RejectedError, "recipient-refused", N_("{host} refused the recipient: {reply}"), _RECIPIENT
    ),
    Row(r"(data|dot) (552|5\d\d 5\.[23]\.[34])", RejectedError, "message-too-large", _TOO_LARGE, _SMALLER),
    Row(r"(data|dot) 5", RejectedError, "message-refused", N_("{host} refused the message: {reply}"), _MEND),
    Row(
        r"rcpt 45",
        TransientError,
        "recipient-later",
        N_("{host} does not take the recipient yet: {reply}"),
        _LATER,
        5 * _MINUTE,
    ),
    Row(r"\w+ 45", TransientError, "try-later", N_("{host} says: later: {reply}"), _LATER, 5 * _MINUTE),
    Row(r"\w+ 4", TransientError, "try-later", N_("{host} says: later: {reply}"), _LATER, _MINUTE),
    Row(
        r"",
        TransientError,
        "reply-unexpected",
        N_("{host} answered what makes no sense there: {reply}"),
        _LATER,
    ),
)

ROWS: Mapping[str, tuple[Row, ...]] = {
    "qq": _QQ,
    "netease": _NETEASE,
    "gmail": _GMAIL,
    "microsoft": _MICROSOFT,
    "": (),
}
"""The rows of each provider, by ``Provider.replies``; the general ones follow in any case."""


def decode_reply(
    rows: str,
    stage: Stage,
    code: int,
    text: bytes,
    *,
    host: str = "",
    address: str = "",
    reason: bytes = b"",
) -> SendError:
    """The error for a reply that does not say yes.

    ``rows``: the name in ``ROWS``; ``stage``: what was answered; ``text``: the reply after its code, as it
    came, with line breaks between several lines; ``host`` and ``address`` (the account's): for the texts;
    ``reason``: what a server told of a token, in words; then the last line is the same as it came, for the
    error's ``text``.
    """
    reply = f"{code} {readable(text)}".rstrip()
    stages = ("token", "auth") if stage == "token" else (stage,)
    row = next(
        row
        for row in (*ROWS.get(rows, ()), *_GENERAL)
        if any(re.match(row.pattern, f"{one} {reply}", re.IGNORECASE) for one in stages)
    )
    values = {"host": host or _("The server"), "address": address, "reply": reply}
    if reason:
        said, _line, _told = text.rpartition(b"\n")
        values["reply"] = f"{code} {readable(said)}".rstrip()
    values["reason"] = _(" ({reason})").format(reason=readable(reason)) if reason else ""
    message, hint = _(row.cause).format(**values), _(row.remedy).format(**values)
    if row.kind is TransientError:
        return TransientError(message, code=row.word, hint=hint, text=reply, retry_after=row.wait)
    error = row.kind(message, code=row.word, hint=hint, text=reply)
    error.retry_after = row.wait
    return error


def readable(data: bytes) -> str:
    """What a server sent, as one line that is safe to print.

    UTF-8, else GB 18030 (old Chinese servers), else with escapes; control characters are escaped, also those
    that turn the direction of writing.
    """
    for encoding in ("utf-8", "gb18030"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        text = data.decode("ascii", "backslashreplace")
    text = " ".join(text.split())[: MAX_SHOWN + 1]
    if text.isprintable() and len(text) <= MAX_SHOWN:
        return text
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + "…"
