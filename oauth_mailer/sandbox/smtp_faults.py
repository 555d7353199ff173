"""What the SMTP side does when a plan tells it to misbehave, as rows of data: one row is one step.

The texts are those of real servers: QQ's and NetEase's (its help on bounce codes, help_spam_16) where
``like`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..i18n import N_

__all__ = ["LOGIN_FAILED", "SMTP_STEPS", "Stage", "Step"]

Stage = Literal["connection", "greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot", "quit"]
"""``connection``: all of it; ``data``: the answer to the command; ``dot``: to the end of the message."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do at one stage.

    ``reply``: a line to send, or octets to send as they are, by default (where it ``accepts``) the usual one;
    ``then``: what follows it: the conversation, the end of the connection, silence, or octets (``drip``) or
    lines (``flood``) without an end. ``accepts``: whether the message counts as accepted all the same;
    ``like``: the provider that says so; ``lacks``: an extension that is not offered; ``size``: the greatest
    message in octets; ``injects``: plain text sent behind the reply to STARTTLS; ``text``: what it does, for
    people, where the reply does not say it.
    """

    stage: Stage
    reply: str | bytes = ""
    then: Literal["go on", "close", "hang", "drip", "flood"] = "go on"
    accepts: bool = False
    like: Literal["", "QQ", "NetEase"] = ""
    lacks: str = ""
    size: int = 0
    injects: bytes = b""
    text: str = ""


_SPAM_HELP = "163 smtp9,sandbox http://mail.163.com/help/help_spam_16.htm"
_QQ_HELP = "http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000722"

LOGIN_FAILED = (
    "535 Login fail. Account is abnormal, service is not open, password is incorrect, login frequency "
    "limited, or system is busy. More information at https://help.mail.qq.com/detail/108/1023"
)

SMTP_STEPS: Mapping[str, Step] = {
    # The whole connection.
    "no-starttls": Step("connection", lacks="STARTTLS", text=N_("offers no STARTTLS")),
    "no-auth": Step("connection", lacks="AUTH", text=N_("offers no way to log in")),
    "no-pipelining": Step(
        "connection",
        lacks="PIPELINING",
        text=N_("takes one command at a time, and refuses more (no PIPELINING)"),
    ),
    "no-8bitmime": Step("connection", lacks="8BITMIME", text=N_("takes 7-bit messages only (no 8BITMIME)")),
    "no-smtputf8": Step("connection", lacks="SMTPUTF8", text=N_("takes ASCII addresses only (no SMTPUTF8)")),
    "small-size": Step("connection", size=100, text=N_("takes messages of at most 100 octets (SIZE)")),
    # The greeting.
    "421": Step("greeting", f"421 HL:ICC {_SPAM_HELP}", "close", like="NetEase"),
    "451-greeting": Step("greeting", "451 4.3.2 Please try again later", "close"),
    "550-frequency": Step("greeting", f"550 Connection frequency limited. {_QQ_HELP}", "close", like="QQ"),
    "554-ip": Step("greeting", "554 IP is rejected, smtp auth error limit exceed", "close", like="NetEase"),
    "drop-greeting": Step("greeting", then="close", text=N_("closes the connection without a greeting")),
    "hang-greeting": Step("greeting", then="hang", text=N_("never greets")),
    "slow-greeting": Step(
        "greeting", "220-localhost ", "drip", text=N_("lets its greeting drip without an end")
    ),
    "endless-greeting": Step(
        "greeting", "220-localhost", "flood", text=N_("greets with lines without an end")
    ),
    # EHLO.
    "421-ehlo": Step("ehlo", f"421 HL:IFC {_SPAM_HELP}", "close", like="NetEase"),
    "451-ehlo": Step("ehlo", "451 4.7.1 Greylisted, please try again later"),
    "550-ehlo": Step("ehlo", "550 5.7.1 Helo command rejected: Host not found"),
    "drop-ehlo": Step("ehlo", then="close", text=N_("closes the connection at EHLO")),
    "endless-ehlo": Step("ehlo", "250-X", "flood", text=N_("answers EHLO with lines without an end")),
    # STARTTLS.
    "421-starttls": Step("starttls", "421 4.3.2 Service shutting down", "close"),
    "454-starttls": Step("starttls", "454 4.7.0 TLS not available due to temporary reason"),
    "554-starttls": Step("starttls", "554 5.7.3 Unable to initialize security subsystem"),
    "drop-starttls": Step("starttls", then="close", text=N_("closes the connection at STARTTLS")),
    "starttls-injection": Step(
        "starttls",
        injects=b"250 injected",
        text=N_("sends plain text behind its answer to STARTTLS, as somebody on the way would"),
    ),
    # The login.
    "421-auth": Step("auth", f"421 HL:MEP {_SPAM_HELP}", "close", like="NetEase"),
    "454": Step("auth", "454 4.7.0 Temporary authentication failure"),
    "535": Step("auth", LOGIN_FAILED, like="QQ"),
    "535-gbk": Step(
        "auth",
        "535 Error: 请使用授权码登录。详情请看: http://service.mail.qq.com/cgi-bin/help?id=28".encode("gbk"),
        like="QQ",
    ),
    "535-netease": Step("auth", "535 Error: authentication failed", like="NetEase"),
    "550-auth": Step("auth", "550 User has no permission", like="NetEase"),
    "554-auth": Step("auth", "554 HL:IPB, smtp auth error limit exceed", "close", like="NetEase"),
    "drop-auth": Step("auth", then="close", text=N_("closes the connection at AUTH")),
    "hang-auth": Step("auth", then="hang", text=N_("never answers AUTH")),
    # The sender.
    "421-mail": Step("mail", f"421 HL:REP {_SPAM_HELP}", "close", like="NetEase"),
    "450": Step("mail", "450 Requested mail action not taken, MI:CEL", like="NetEase"),
    "451-mail": Step("mail", f"451 MI:SFQ {_SPAM_HELP}", like="NetEase"),
    "501-mail": Step("mail", "501 mail from address must be same as authorization user", like="QQ"),
    "550-quota": Step("mail", "550 MI:STC too many messages today", like="NetEase"),
    "553": Step("mail", "553 Mail from must equal authorized user", like="NetEase"),
    "drop-mail": Step("mail", then="close", text=N_("closes the connection at MAIL")),
    "hang-mail": Step("mail", then="hang", text=N_("never answers MAIL")),
    "garbage": Step(
        "mail", b"\0\xff\xfe\x01\r\n", "close", text=N_("answers MAIL with octets that are no reply")
    ),
    "long-line": Step("mail", "250 " + "x" * 100_000, text=N_("answers MAIL with a line of 100,000 octets")),
    # The recipients: each RCPT is one attempt, so that 550,ok refuses the first one only.
    "421-rcpt": Step("rcpt", "421 4.7.28 Our system has detected an unusual rate of mail", "close"),
    "450-rcpt": Step("rcpt", "450 User busy, try again later"),
    "451-rcpt": Step("rcpt", f"451 RP:QRC {_SPAM_HELP}", like="NetEase"),
    "550": Step("rcpt", "550 User not found", like="NetEase"),
    "550-gbk": Step("rcpt", "550 用户不存在".encode("gbk"), like="QQ"),
    "550-rcpt-quota": Step("rcpt", f"550 RP:TRC {_SPAM_HELP}", like="NetEase"),
    "550-recipients": Step("rcpt", f"550 RP:RCL {_SPAM_HELP}", like="NetEase"),
    "drop-rcpt": Step("rcpt", then="close", text=N_("closes the connection at RCPT")),
    # DATA.
    "421-data": Step("data", "421 4.3.2 Service shutting down", "close"),
    "452": Step("data", "452 Requested action not taken: insufficient system storage"),
    "554-data": Step("data", "554 5.5.1 Transaction failed"),
    "drop-before-data": Step("data", then="close", text=N_("closes the connection at DATA")),
    "drop-in-data": Step(
        "data",
        "354 End data with <CR><LF>.<CR><LF>",
        "close",
        text=N_("asks for the message, and closes the connection before its end"),
    ),
    # The end of the message.
    "421-dot": Step("dot", "421 4.3.2 Service shutting down", "close"),
    "451": Step("dot", "451 DT:SPM, please try again", like="NetEase"),
    "452-dot": Step("dot", "452 4.3.1 Insufficient system storage"),
    "550-content": Step("dot", f"550 Mail content denied. {_QQ_HELP}", like="QQ"),
    "550-from": Step("dot", '550 The "From" header is missing or invalid', like="QQ"),
    "552": Step("dot", "552 Illegal Attachment", like="NetEase"),
    "554": Step("dot", "554 DT:SPM", like="NetEase"),
    "554-gbk": Step("dot", "554 邮件内容被拒绝".encode("gbk"), like="QQ"),
    "554-sender": Step("dot", f"554 DT:SUM {_SPAM_HELP}", like="NetEase"),
    "drop-at-dot": Step(
        "dot", then="close", text=N_("closes the connection after the message, which it does not accept")
    ),
    "hang-at-dot": Step("dot", then="hang", text=N_("never answers the message, which it does not accept")),
    "drop-after-dot": Step(
        "dot", then="close", accepts=True, text=N_("accepts, then closes the connection without an answer")
    ),
    "hang-after-dot": Step("dot", then="hang", accepts=True, text=N_("accepts, then never answers")),
    "slow-after-dot": Step(
        "dot", "250-OK ", "drip", accepts=True, text=N_("accepts, then lets its answer drip without an end")
    ),
    "endless-after-dot": Step(
        "dot", "250-OK", "flood", accepts=True, text=N_("accepts, then answers with lines without an end")
    ),
    "garbage-after-dot": Step(
        "dot",
        b"\0\xff\xfe\x01\r\n",
        "close",
        accepts=True,
        text=N_("accepts, then sends octets that are no reply"),
    ),
    # After the message.
    "idle-close": Step(
        "dot", then="close", accepts=True, reply="250 OK", text=N_("accepts, then closes the idle connection")
    ),
    "idle-421": Step(
        "dot",
        "250 OK\r\n421 4.4.2 Idle for too long",
        "close",
        accepts=True,
        text=N_("accepts, then closes the idle connection with 421"),
    ),
    "quit-nul": Step("quit", b"\0" * 8, "close", text=N_("answers QUIT with NUL octets")),
    "quit-close": Step("quit", then="close", text=N_("closes the connection at QUIT")),
    "quit-hang": Step("quit", then="hang", text=N_("never answers QUIT")),
}
