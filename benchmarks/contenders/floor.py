"""Not a mail client: what a program in Python can reach that checks nothing and gives no verdict.

A bare socket, ready octets, pipelined commands; a bare connection of http.client.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from base64 import b64encode, urlsafe_b64encode
from email import policy
from typing import Any

NAME = "the floor (bare socket, ready octets)"


def can(job: Any) -> bool:
    """It has no way to attach anything."""
    return not job.attachment


def smtp(job: Any) -> None:
    """A connection for each thread."""
    ready: bytes = job.email_message().as_bytes(policy=policy.SMTP).replace(b"\r\n.", b"\r\n..") + b".\r\n"
    envelope = f"MAIL FROM:<{job.sender}>\r\nRCPT TO:<{job.to}>\r\nDATA\r\n".encode()

    def work(count: int) -> None:
        sock = socket.create_connection((job.host, job.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if job.security == "tls":
            context = ssl.create_default_context(cafile=job.cafile)
            sock = context.wrap_socket(sock, server_hostname=job.host)
        answers = sock.makefile("rb")

        def ask(octets: bytes, replies: int) -> None:
            if octets:
                sock.sendall(octets)
            while replies:
                line = answers.readline()
                if line[:1] not in (b"2", b"3"):
                    raise RuntimeError(repr(line))
                replies -= line[3:4] == b" "

        ask(b"", 1)
        ask(b"EHLO floor\r\n", 1)
        if job.user:
            pair = b64encode(f"\0{job.user}\0{job.password}".encode())
            ask(b"AUTH PLAIN " + pair + b"\r\n", 1)
        for _ in range(count):
            ask(envelope, 3)
            ask(ready, 1)
        ask(b"QUIT\r\n", 1)
        answers.close()
        sock.close()

    crew = [
        threading.Thread(target=work, args=(job.count // job.concurrency,)) for _ in range(job.concurrency)
    ]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()


def gmail(job: Any) -> None:
    """The same octets again and again."""
    raw = b'{"raw": "' + urlsafe_b64encode(job.email_message().as_bytes(policy=policy.SMTP)) + b'"}'
    connection = http.client.HTTPConnection(job.base_url.partition("//")[2])
    headers = {"Authorization": f"Bearer {job.token}", "Content-Type": "application/json"}
    for _ in range(job.count):
        connection.request("POST", "/gmail/v1/users/me/messages/send", raw, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}")
