"""Templates and tables, and a message for each row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.errors import MessageError
from oauth_mailer.merge import MergeJob, Table, Template
from oauth_mailer.outbox import Outbox, State

ME = "me@corp.example"


def table(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


def template(folder: Path, text: str, name: str = "letter.txt") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


HELLO = "---\nto: {{ email }}\nsubject: Hi {{ name }}\n---\nHello {{ name }}!\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_is_read_as_spreadsheets_write_it(tmp_path: Path, encoding: str, separator: str) -> None:
    lines = ["email,name", "li@example.com,李雷", '"ann@example.com","Ann"', ",", ""]
    path = table(tmp_path, "\r\n".join(line.replace(",", separator) for line in lines), encoding=encoding)
    rows = list(Table(path))
    assert [dict(row.cells) for row in rows] == [
        {"email": "li@example.com", "name": "李雷"},
        {"email": "ann@example.com", "name": "Ann"},
    ]
    assert [row.line for row in rows] == [2, 3]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no columns"),
        (",,\n1,2,3\n", "names no columns"),
        ("a,a\n1,2\n", "two columns a"),
        ("a,b\n1,2,3\n", "line 2 has more cells"),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(MessageError, match=reason) as failed:
        list(Table(table(tmp_path, text)))
    assert failed.value.hint


def test_octets_of_no_encoding_and_missing_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"a\n\xff\xff\n")
    with pytest.raises(MessageError, match="neither UTF-8 nor GB18030"):
        list(Table(tmp_path / "table.csv"))
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(MessageError, match="cannot be read"):
            Table(path)
        with pytest.raises(MessageError, match="cannot be read"):
            Template(path)


@given(
    st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), max_size=20)] * 2), max_size=10)
)
def test_every_cell_that_a_program_wrote_is_read(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("first", "second"), *cells])
    path = table(tmp_path_factory.mktemp("tables"), text.getvalue())
    wanted = [tuple(cell.strip() for cell in row) for row in cells]
    assert [tuple(row.cells.values()) for row in Table(path)] == [row for row in wanted if any(row)]


def test_a_template_says_whom_it_goes_to_and_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "7.pdf").write_bytes(b"%PDF")
    (tmp_path / "letter.html").write_text("<p>Dear {{ name }}</p>", "utf-8")
    made = Template(
        template(
            tmp_path,
            "---\n# whom\nto: {{ email | named(name) }}\ncc: a@example.com, b@example.com\nbcc: {{ boss }}\n"
            "reply-to: help@example.com\nsubject: Bill {{ row['bill no'] }}\nfrom-name: The Shop\n"
            "attach: bills/{{ row['bill no'] }}.pdf\nunsubscribe: https://example.com/{{ email|urlencode }}\n"
            "one-click: yes\nX-Campaign: autumn\nhtml-file: letter.html\n---\nDear {{ name }},\n",
        )
    )
    row = {"email": "ann@example.com", "name": "Smith & Co, Ann", "boss": "", "bill no": "7"}
    message = made.message(row)
    assert str(message.to[0]) == '"Smith & Co, Ann" <ann@example.com>'
    assert [one.email for one in message.cc] == ["a@example.com", "b@example.com"]
    assert message.bcc == (), "a line that comes out empty names nobody"
    assert message.subject == "Bill 7"
    assert message.text == "Dear Smith & Co, Ann,\n"
    assert message.html == "<p>Dear Smith &amp; Co, Ann</p>"
    assert message.attachments[0].filename == "7.pdf"
    assert message.one_click
    assert ("X-Campaign", "autumn") in message.headers


def test_an_html_template_escapes_what_comes_from_the_table(tmp_path: Path) -> None:
    made = Template(template(tmp_path, "---\nto: {{ email }}\n---\n<b>{{ name }}</b>\n", "letter.html"))
    message = made.message({"email": "ann@example.com", "name": "<script>x</script>"})
    assert message.html == "<b>&lt;script&gt;x&lt;/script&gt;</b>\n"
    assert message.text is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Hello", "whom it goes to"),
        ("---\nto: {{ email }}\nfrom: me@example.com\n---\n", "does not know 'from: me@example.com'"),
        ("---\nto: {{ email \n---\n", "cannot be used"),
        ("---\nto: {{ email }}\n---\n{% for x in %}", "cannot be used"),
    ],
)
def test_what_is_no_template_is_told(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(MessageError, match=reason) as failed:
        Template(template(tmp_path, text))
    assert failed.value.hint


@pytest.mark.parametrize(
    "body",
    [
        "{{ nmae }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ row.__class__.__init__.__globals__ }}",
        "{% for a in range(99999999) %}x{% endfor %}",
        "{{ 'x' * 5000000 }}",
        "{{ 1 // 0 }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_template_reaches_nothing_but_the_row(tmp_path: Path, body: str) -> None:
    made = Template(template(tmp_path, "---\nto: {{ email }}\n---\n" + body))
    with pytest.raises(MessageError, match="cannot be used") as failed:
        made.message({"email": "ann@example.com"})
    assert "root:" not in str(failed.value)


@pytest.mark.parametrize(
    "cell",
    [
        "a@example.com, eve@example.com",
        "a@example.com\nBcc: eve@example.com",
        "Ann <a@example.com>, eve@x.example",
    ],
)
def test_a_cell_cannot_add_recipients(tmp_path: Path, cell: str) -> None:
    made = Template(template(tmp_path, "---\nto: {{ email }}\n---\nHi\n"))
    with pytest.raises(MessageError):
        made.message({"email": cell})


@pytest.fixture
def outbox(home: Path) -> Iterator[Outbox]:
    sent = {"folder": str(home / "sent")}
    Accounts(home).add(Account(address=ME, transport="file", auth="none", host="localhost", options=sent))
    with Outbox(home=home) as made:
        yield made


def test_a_job_begun_anew_adds_what_is_missing_only(home: Path, tmp_path: Path, outbox: Outbox) -> None:
    rows = [f"u{number}@example.com,N{number}\n" for number in range(5)]
    letter = template(tmp_path, HELLO)
    job = MergeJob(letter, table(tmp_path, "email,name\n" + "".join(rows[:3])), home=home)
    assert [line.added for line in job.add(outbox)] == [True] * 3
    outbox.run(once=True)

    # Rows in another order, and new ones: each goes out once.
    job = MergeJob(letter, table(tmp_path, "email,name\n" + "".join(reversed(rows))), home=home)
    assert [line.added for line in job.add(outbox)] == [True, True, False, False, False]
    outbox.run(once=True)
    assert outbox.stats(key_prefix=job.key_prefix).counts[State.SENT] == 5
    assert len(list((home / "sent").glob("*.eml"))) == 5

    # The same rows of a changed template are told of, not sent again; another job sends them.
    template(tmp_path, HELLO.replace("Hello", "Good day"))
    job = MergeJob(letter, job.table, home=home)
    assert [line.error.code if line.error else "" for line in job.add(outbox)] == ["outbox-key-conflict"] * 5
    assert all(line.added for line in MergeJob(letter, job.table, name="second", home=home).add(outbox))


def test_all_rows_are_checked_before_any_is_kept(home: Path, tmp_path: Path, outbox: Outbox) -> None:
    path = table(tmp_path, "email,name\nann@example.com,Ann\nnot-an-address,Bob\n,Eve\n")
    job = MergeJob(template(tmp_path, HELLO), path, home=home)
    assert [(one.row.line, one.error.code) for one in job.check()] == [
        (3, "address-malformed"),
        (4, "no-recipient"),
    ]
    assert [line.row.line for line in job.add(outbox, leave_out={3, 4})] == [2]
