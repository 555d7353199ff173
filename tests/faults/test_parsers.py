"""Octets from others, as bad as they come: each reader ends, with a value or with an error of ours."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from .parsers import PARSERS, SEEDS

# Pieces that mean something to one reader or another, and octets that mean nothing.
_PIECES = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b";", b"<", b">", b"(", b")", b'"', b"\\", b"@", b"=?"),
    *(b"?=", b"{", b"}", b"[", b"]", b"250-", b"250 ", b"\x00", b"\x1b[", b"\xff", b"\xe9\x9b\xb7", b"%41"),
    *(
        b"a@b.de",
        b"From:",
        b"Content-Type: multipart/mixed; boundary=x",
        b"--x",
        b"utf-8''",
        b"null",
        b"1e999",
    ),
)


def mangled(seed: bytes) -> st.SearchStrategy[bytes]:
    """This text with pieces cut out, put in, doubled and changed."""

    def mangle(choices: random.Random) -> bytes:
        data = bytearray(seed)
        for _number in range(choices.randint(1, 6)):
            at = choices.randint(0, len(data))
            match choices.randint(0, 3):
                case 0:
                    data[at:at] = choices.choice(_PIECES) * choices.choice((1, 1, 2, 300))
                case 1:
                    del data[at : at + choices.randint(1, 8)]
                case 2:
                    data[at : at + 1] = bytes([choices.randint(0, 255)])
                case _:
                    data[at:at] = data[at : at + 20]
        return bytes(data)

    return st.randoms(use_true_random=False).map(mangle)


OCTETS = st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(_PIECES), max_size=40).map(b"".join))


@pytest.mark.parametrize("name", PARSERS)
def test_no_octets_crash_a_reader_or_hold_it_up(name: str) -> None:
    octets = st.one_of(OCTETS, *map(mangled, SEEDS[name]))

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(octets)
    @example(b"")
    @example(b"\x00" * 5000)
    @example(b"(" * 20_000)
    @example(b"[" * 20_000)
    @example(b"a," * 20_000)
    def read(data: bytes) -> None:
        PARSERS[name](data)

    read()
