"""What the SMTP side does when a plan tells it to misbehave, as rows of data.

The texts are those of real servers: QQ's for the login, NetEase's for what follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["LOGIN_FAILED", "SMTP_STEPS", "Stage", "Step"]

Stage = Literal["greeting", "auth", "mail", "rcpt", "data", "dot", "quit"]
"""``data``: the answer to the command; ``dot``: to the end of the message."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do at one stage.

    ``reply``: a line to send, or octets to send as they are; ``then``: what follows; ``accepts``: whether the
    message counts as accepted all the same.
    """

    stage: Stage
    reply: str | bytes = ""
    then: Literal["go on", "close", "hang"] = "go on"
    accepts: bool = False


LOGIN_FAILED = (
    "535 Login fail. Account is abnormal, service is not open, password is incorrect, login frequency "
    "limited, or system is busy. More information at https://help.mail.qq.com/detail/108/1023"
)

SMTP_STEPS: Mapping[str, Step] = {
    "421": Step("greeting", "421 HL:ICC localhost, too many connections from this address", "close"),
    "554-ip": Step("greeting", "554 IP is rejected, smtp auth error limit exceed", "close"),
    "drop-greeting": Step("greeting", then="close"),
    "hang-greeting": Step("greeting", then="hang"),
    "535": Step("auth", LOGIN_FAILED),
    "454": Step("auth", "454 4.7.0 Temporary authentication failure"),
    "drop-auth": Step("auth", then="close"),
    "421-mail": Step("mail", "421 HL:REP localhost, service not available", "close"),
    "450": Step("mail", "450 Requested mail action not taken, MI:CEL"),
    "550-quota": Step("mail", "550 MI:STC too many messages today"),
    "drop-mail": Step("mail", then="close"),
    "450-rcpt": Step("rcpt", "450 User busy, try again later"),
    "550": Step("rcpt", "550 User not found"),
    "452": Step("data", "452 Requested action not taken: insufficient system storage"),
    "drop-before-data": Step("data", then="close"),
    "drop-in-data": Step("data", "354 End data with <CR><LF>.<CR><LF>", "close"),
    "451": Step("dot", "451 DT:SPM, please try again"),
    "552": Step("dot", "552 Illegal Attachment"),
    "554": Step("dot", "554 DT:SPM"),
    "drop-at-dot": Step("dot", then="close"),
    "hang-at-dot": Step("dot", then="hang"),
    "drop-after-dot": Step("dot", then="close", accepts=True),
    "hang-after-dot": Step("dot", then="hang", accepts=True),
    "421-after-dot": Step("dot", "421 localhost, shutting down", "close", accepts=True),
    "quit-nul": Step("quit", b"\0" * 8, "close"),
    "quit-close": Step("quit", then="close"),
    "quit-hang": Step("quit", then="hang"),
}
