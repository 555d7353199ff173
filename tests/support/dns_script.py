"""A DNS server on loopback with records of its own, which counts what it was asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class DnsScript:
    """``records``: texts by name and kind, such as ``("corp.example", "MX")``; a name that has none of any
    kind is not there. ``silent``: it hears and never answers.
    """

    def __init__(self, records: Mapping[tuple[str, str], Sequence[str]], *, silent: bool = False) -> None:
        self.records = dict(records)
        self.asked: list[tuple[str, str]] = []
        self._silent = silent
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._stopping = False

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:  # wakes it up
            sock.sendto(b"", self._socket.getsockname())
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if self._stopping:
                return
            query = dns.message.from_wire(data)
            if not self._silent:
                self._socket.sendto(self._answer(query).to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = question.rdtype.name
        self.asked.append((name, kind))
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if texts := self.records.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.name, 300, "IN", kind, *texts))
        elif name not in {known for known, _kind in self.records}:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


GOOD = {
    ("corp.example", "MX"): ["10 mx.corp.example."],
    ("corp.example", "TXT"): ['"hello"', '"v=spf1 include:mail.example " "~all"'],
    ("_dmarc.corp.example", "TXT"): ['"v=DMARC1; p=reject"'],
}
"""The records of a domain that is well looked after."""
