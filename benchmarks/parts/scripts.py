"""The programs that people write to send one message: each a few lines, with nothing of ours in them."""

from __future__ import annotations

from ..job import Job

__all__ = ["script"]

_SAID = """\
SENDER, TO, SUBJECT = {sender!r}, {to!r}, {subject!r}
TEXT = {text!r}
HTML = {html!r}
"""

_MESSAGE = """\
from email.message import EmailMessage
message = EmailMessage()
message["From"], message["To"], message["Subject"] = SENDER, TO, SUBJECT
message.set_content(TEXT)
message.add_alternative(HTML, subtype="html")
"""

_PASSWORD = {
    "": "",
    "environment": "import os\npassword = os.environ['PASSWORD']\n",
    "keyring": "import keyring\npassword = keyring.get_password('bench', {user!r})\n",
}

_SEND = {
    ("smtplib", "none"): """\
import smtplib
with smtplib.SMTP({host!r}, {port}) as server:
    server.send_message(message)
""",
    ("smtplib", "tls"): """\
import smtplib, ssl
with smtplib.SMTP_SSL({host!r}, {port}, context=ssl.create_default_context()) as server:
    server.login({user!r}, password)
    server.send_message(message)
""",
    ("yagmail", "none"): """\
import yagmail
with yagmail.SMTP(SENDER, "none", host={host!r}, port={port}, smtp_ssl=False, smtp_starttls=False,
                  smtp_skip_login=True) as client:
    client.send(TO, SUBJECT, [TEXT, HTML])
""",
    ("yagmail", "tls"): """\
import ssl, yagmail
context = ssl.create_default_context()
with yagmail.SMTP({user!r}, password, host={host!r}, port={port}, context=context) as client:
    client.send(TO, SUBJECT, [TEXT, HTML])
""",
    ("red-mail", "none"): """\
from redmail import EmailSender
EmailSender({host!r}, {port}, use_starttls=False).send(
    subject=SUBJECT, sender=SENDER, receivers=[TO], text=TEXT, html=HTML)
""",
    ("red-mail", "tls"): """\
import smtplib, ssl
from redmail import EmailSender
EmailSender({host!r}, {port}, username={user!r}, password=password, use_starttls=False,
            cls_smtp=smtplib.SMTP_SSL, context=ssl.create_default_context()).send(
    subject=SUBJECT, sender=SENDER, receivers=[TO], text=TEXT, html=HTML)
""",
    ("google-api-python-client", "none"): """\
from base64 import urlsafe_b64encode
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
credentials = Credentials.from_authorized_user_file({token_file!r})
service = build("gmail", "v1", credentials=credentials, client_options={{"api_endpoint": {base_url!r}}})
raw = urlsafe_b64encode(message.as_bytes()).decode()
service.users().messages().send(userId="me", body={{"raw": raw}}).execute()
""",
    ("http.client", "none"): """\
import http.client, json
from base64 import urlsafe_b64encode
token = json.load(open({token_file!r}))["token"]
connection = http.client.HTTPConnection({base_url!r}.partition("//")[2])
raw = urlsafe_b64encode(message.as_bytes()).decode()
connection.request("POST", "/gmail/v1/users/me/messages/send", json.dumps({{"raw": raw}}),
                   {{"Authorization": "Bearer " + token, "Content-Type": "application/json"}})
assert connection.getresponse().status == 200
""",
}
_OWN_MESSAGE = ("yagmail", "red-mail")


def script(library: str, job: Job, *, password: str = "", token_file: str = "") -> str:
    """The program that sends this job's message by this library.

    ``password``: where it comes from, ``environment`` or ``keyring``.
    """
    said = _SAID.format(sender=job.sender, to=job.to, subject=job.subject(0), text=job.text, html=job.html)
    message = "" if library in _OWN_MESSAGE else _MESSAGE
    sends = _SEND[library, job.security].format(
        host=job.host, port=job.port, user=job.user, base_url=job.base_url, token_file=token_file
    )
    return said + _PASSWORD[password].format(user=job.user) + message + sends
