"""One mailbox, and lists of them as people and programs write them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from email.utils import getaddresses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauth_mailer import Address, MessageError
from oauth_mailer.address import unique
from tests.support.mail_texts import ADDRESSES, EMAILS, FAMILY, NAMES, moderately


def emails(text: str) -> list[str]:
    return [one.email for one in Address.parse_list(text)]


@moderately
@given(st.builds(Address, EMAILS | st.sampled_from(["李雷@例え.jp", "x@xn--r8jz45g.jp"]), NAMES))
@example(Address("ann@example.com", "李,雷"))
@example(Address("ann@example.com", "a  b"))
@example(Address("ann@example.com", "\u3000雷"))
@example(Address("ann@example.com", '"\\'))
@example(Address("ann@example.com", "x@y"))
@example(Address("a@[IPv6:::1]", FAMILY))
def test_what_an_address_prints_is_read_back_as_the_same(address: Address) -> None:
    assert Address.parse(str(address)) == address
    assert Address.parse_list(f" {address} , {address},") == (address, address)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        *(("Ann Lee", "Ann Lee"), ("李雷", "李雷"), ("李,雷", '"李,雷"'), ("A. B", '"A. B"')),
        *(('"', '"\\""'), ("a  b", '"a  b"'), ("=?utf-8?q?x?=", '"=?utf-8?q?x?="')),
    ],
)
def test_a_name_is_quoted_where_it_could_be_misread(name: str, printed: str) -> None:
    assert str(Address("ann@example.com", name)) == f"{printed} <ann@example.com>"


@moderately
@given(st.lists(ADDRESSES, max_size=5))
def test_the_standard_library_reads_the_same_out_of_what_is_printed(addresses: list[Address]) -> None:
    text = ", ".join(map(str, addresses))
    found = getaddresses([text]) if addresses else []
    assert [email for _name, email in found] == [one.email for one in addresses]


@pytest.mark.parametrize(
    ("text", "email", "name"),
    [
        ("ann@example.com", "ann@example.com", ""),
        ("  ann@example.com ", "ann@example.com", ""),
        ("<ann@example.com>", "ann@example.com", ""),
        ("Ann <ann@example.com>", "ann@example.com", "Ann"),
        ("Ann<ann@example.com>", "ann@example.com", "Ann"),
        ("Ann   Lee <ann@example.com>", "ann@example.com", "Ann Lee"),
        ("Ann Q. Lee <ann@example.com>", "ann@example.com", "Ann Q. Lee"),
        ('"Lee, Ann" <ann@example.com>', "ann@example.com", "Lee, Ann"),
        (r'"A \"B\" \\ C" <ann@example.com>', "ann@example.com", r'A "B" \ C'),
        ("李雷 <lilei@qq.com>", "lilei@qq.com", "李雷"),
        ("[Ticket #5] Desk <desk@example.com>", "desk@example.com", "[Ticket #5] Desk"),
        ("ann@example.com (Ann)", "ann@example.com", ""),
        ("(a (nested) comment) Ann (\\) still it) <ann@example.com> (end)", "ann@example.com", "Ann"),
        ("(it's 5\" wide) ann@example.com", "ann@example.com", ""),
        ("Ann (x) (y) Lee <ann@example.com>", "ann@example.com", "Ann Lee"),
        ("ann@example.com <ann@example.com>", "ann@example.com", ""),
        ('"boss@good.example" <x@evil.example>', "x@evil.example", "boss@good.example"),
        ("=?utf-8?q?Ann?= <ann@example.com>", "ann@example.com", "=?utf-8?q?Ann?="),
        ("Ann@Example.COM", "Ann@example.com", ""),
        ("ann@bücher.example", "ann@xn--bcher-kva.example", ""),
        ("ann@例え。テスト", "ann@xn--r8jz45g.xn--zckzah", ""),
        ("ann@straße.de", "ann@xn--strae-oqa.de", ""),
        ("李雷@qq.com", "李雷@qq.com", ""),
        ("o'neil+tag=x@example.com", "o'neil+tag=x@example.com", ""),
        ("root@localhost", "root@localhost", ""),
        ("x@[192.0.2.1]", "x@[192.0.2.1]", ""),
        ("x@[ipv6:2001:DB8:0:0::1]", "x@[IPv6:2001:db8::1]", ""),
    ],
)
def test_a_mailbox_as_people_write_it(text: str, email: str, name: str) -> None:
    address = Address.parse(text)
    assert (address.email, address.name) == (email, name)
    assert address.email == f"{address.local}@{address.domain}"


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", "ann", "@", "@example.com", "ann@", "<>", "Ann <>", "Ann <ann>", "Ann"),
        *("a@b@c", "ann@example.com bob@example.com", "Ann ann@example.com"),
        *("ann @example.com", "ann@ example.com"),
        *("alice@a)bob@b", "alice@a(bob@b", '"x@gmail.com y"@internal'),
        *('"ann"@example.com', "a(x)b@example.com"),
        *("boss@good.example <x@evil.example>", "boss@good.example, <x@evil.example"),
        *("<a@b> <c@d>", "<a@b>c@d"),
        *("Ann <a@b> x", "<<a@b>>", "a@b>", "<a@b", "<a,b@c>", "<@x,@y:a@b>", "mailto:ann@example.com"),
        *('"Ann <ann@example.com>', 'Ann" <ann@example.com>', "Ann \\<a@b> <c@d>", "A\\ <a@b>"),
        *("(", "(a\\", ")"),
        *("a;b@example.com", "a:b@example.com", "a@b; c@d", "list: a@b"),
        *(": a@b;", "x: y: a@b;;", "x: a@b; c@d"),
        *(".ann@example.com", "ann.@example.com", "an..n@example.com"),
        *("a[b]@example.com", "a\\b@example.com"),
        *("ann@-example.com", "ann@example-.com", "ann@exa_mple.com"),
        *("ann@example.com.", "ann@.com", "ann@a..b"),
        *("x@[1.2.3]", "x@[::1]", "x@[IPv6:1.2.3.4]", "x@[IPv6:fe80::1%eth0]"),
        *("x@[what]", "x@[1.2.3.4", "x@[]"),
        *(f"{'l' * 65}@example.com", f"{'é' * 33}@example.com", f"a@{'d' * 64}.com", f"a@{'ü' * 300}.com"),
        *("x\uff20evil.example@good.example", "a\u00a0b@example.com"),
        *("a\u202eb@example.com", "a\u200bb@c.de"),
        *("x\uff0e@example.com", "a@qq.com，b@qq.com", "a@qq.com；"),
        *("a@xn--\u2028", "a@a\u3002\u3002b", "a@exa／mple.com"),
    ],
)
def test_what_is_no_mailbox_or_could_be_two_is_refused(text: str) -> None:
    with pytest.raises(MessageError) as caught:
        Address.parse(text)
    assert caught.value.code in ("address-malformed", "control-character")
    assert caught.value.hint
    assert str(caught.value).isprintable()
    with pytest.raises(MessageError):
        Address(text)


@pytest.mark.parametrize(
    "bad", ["\r", "\n", "\0", "\t", "\x0b", "\x0c", "\x7f", "\u0085", "\u2028", "\ud800"]
)
@pytest.mark.parametrize("build", [Address, lambda text: Address("a@b", text), Address.parse])
def test_a_control_character_or_half_a_character_is_refused(build: type[Address], bad: str) -> None:
    for text in (f"ann@example.com{bad}", f"{bad}ann@example.com", f"an{bad}n@example.com"):
        with pytest.raises(MessageError) as caught:
            build(text)
        expected = "lone-surrogate" if bad == "\ud800" else "control-character"
        assert caught.value.code == expected
        assert str(caught.value).isprintable()


def test_the_longest_address_has_254_octets() -> None:
    longest = f"{'l' * 64}@{'.'.join(['d' * 63, 'd' * 63, 'd' * 61])}"
    assert len(longest) == 254
    assert Address(longest).email == Address.parse(f"Ann <{longest}>").email == longest
    with pytest.raises(MessageError):
        Address(f"{longest}e")


@pytest.mark.parametrize(
    "text", ["a <b@c> <d@e>", "a <b@c> d@e, f@g", "a@b c@d", "x: a@b; y: c@d;", "x: a@b;<c@d>", "a@b; c@d"]
)
def test_a_list_needs_its_commas(text: str) -> None:
    with pytest.raises(MessageError):
        Address.parse_list(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@b, c@d", ["a@b", "c@d"]),
        ("a@b,,c@d,", ["a@b", "c@d"]),
        ('"X, Y" <a@b>, Z <c@d> , e@f', ["a@b", "c@d", "e@f"]),
        ("undisclosed-recipients:;", []),
        ("Friends: a@b, C <c@d>;, e@f", ["a@b", "c@d", "e@f"]),
        ("e@f, Friends: a@b;", ["e@f", "a@b"]),
        ("Empty: ;, a@b", ["a@b"]),
        ("(only a comment)", []),
        ("", []),
        ("x@[IPv6:::1], a@b", ["x@[IPv6:::1]", "a@b"]),
    ],
)
def test_lists_and_groups(text: str, expected: list[str]) -> None:
    assert emails(text) == expected


HOSTILE = [
    *('"' * 300_000, "(" * 300_000, "<" * 300_000, "," * 300_000, "a@b," * 80_000 + "\\", "a" * 300_000),
    *(
        '"a' + "\\" * 299_999,
        "(\\" * 150_000,
        "@[" * 150_000,
        "@[a" * 100_000,
        "g:" * 150_000,
        "a@b;" * 75_000,
    ),
    *("é" * 300_000 + "@x", "a@" + "é" * 300_000, "x " * 150_000, '""' * 150_000, "(" * 9999 + ")" * 9998),
    "x" * (1 << 22) + "@example.com",
]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:4]}…{len(text)}")
def test_hostile_lists_end_in_bounded_time(text: str) -> None:
    """What takes quadratic time would take minutes here."""
    if text.strip(","):
        with pytest.raises(MessageError):
            Address.parse_list(text)
    else:
        assert Address.parse_list(text) == ()


def test_fifty_thousand_addresses_are_read() -> None:
    text = ", ".join(f'"User, {number}" <user{number}@example.com>' for number in range(50_000))
    found = Address.parse_list(text)
    assert len(unique(found)) == 50_000
    assert found[-1] == Address("user49999@example.com", "User, 49999")


def test_two_spellings_of_one_mailbox_have_one_key() -> None:
    same = [Address("Ann@Example.com", "Ann"), Address("ann@example.com"), Address("ANN@EXAMPLE.COM")]
    assert len({one.key for one in same}) == 1
    assert unique([*same, Address("bob@example.com"), *same]) == (same[0], Address("bob@example.com"))
    assert Address("e\u0301@example.com").key == Address("\u00e9@example.com").key


def test_addresses_are_values() -> None:
    address = Address("ann@example.com", " Ann ")
    assert address == Address("ann@EXAMPLE.com", "Ann")
    assert hash(address) == hash(Address("ann@example.com", "Ann"))
    assert pickle.loads(pickle.dumps(address)) == copy.copy(address) == copy.deepcopy(address) == address
    assert replace(address, name="Bob") == Address("ann@example.com", "Bob")
    with pytest.raises(MessageError):
        replace(address, email="none")
    with pytest.raises(AttributeError):
        address.email = "bob@example.com"  # type: ignore[misc]


def test_what_is_no_text_is_a_programming_error() -> None:
    for value in (None, 1, b"ann@example.com"):
        with pytest.raises(TypeError):
            Address(value)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            Address.parse_list(value)  # type: ignore[arg-type]
