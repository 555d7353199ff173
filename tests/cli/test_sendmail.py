"""Programs that know only sendmail, and send by our accounts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import MappingProxyType

import pytest

from oauth_mailer.accounts import Accounts
from oauth_mailer.address import Address
from oauth_mailer.local_mail import complete, complete_recipients, without_dot
from oauth_mailer.outbox import Outbox
from tests.support import require_program

from .mailbox import Mailbox, mailboxes
from .program import Ended, run

ME, OTHER = "me@corp.example", "other@corp.example"


@pytest.fixture
def boxes(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Mailbox]]:
    """Two accounts; the first is the default one."""
    with mailboxes(home, monkeypatch, ME, OTHER) as made:
        yield made


@pytest.fixture
def box(boxes: list[Mailbox]) -> Mailbox:
    return boxes[0]


def sendmail(*words: str, text: bytes) -> Ended:
    return run("sendmail", *words, stdin=text)


def received(box: Mailbox) -> EmailMessage:
    [mail] = box.messages
    message = message_from_bytes(mail.data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_message_goes_to_whom_its_headers_name_and_bcc_is_not_seen(box: Mailbox) -> None:
    text = b"To: Ann <ann@example.com>\nCc: bob@example.com\nBcc: eve@example.com\nSubject: Hi\n\nHello\n"
    done = sendmail("-t", "-i", text=text)
    assert (done.code, done.out, done.err) == (0, "", ""), "sendmail is silent when all went well"
    [mail] = box.messages
    assert mail.recipients == ["ann@example.com", "bob@example.com", "eve@example.com"]
    message = received(box)
    assert message["from"] == ME
    assert message["bcc"] is None
    assert message["message-id"]
    assert message["date"]


def test_arguments_are_recipients_and_add_to_those_of_t(box: Mailbox) -> None:
    text = b"To: ann@example.com\nSubject: Hi\n\nHello\n"
    assert sendmail("bob@example.com", text=text).code == 0
    assert sendmail("-t", "bob@example.com", "-oi", text=text).code == 0
    assert [mail.recipients for mail in box.messages] == [
        ["bob@example.com"],
        ["ann@example.com", "bob@example.com"],
    ]


def test_the_sender_names_the_account(boxes: list[Mailbox]) -> None:
    text = b"To: ann@example.com\nSubject: Hi\n\nHello\n"
    assert sendmail("-t", "-f", OTHER, text=text).code == 0
    assert sendmail("-t", text=b"From: Me <" + OTHER.encode() + b">\n" + text).code == 0
    assert sendmail("-t", "-fnobody", "-FThe Box", text=text).code == 0
    assert [len(box.messages) for box in boxes] == [1, 2]
    assert received(boxes[0])["from"] == f"The Box <{ME}>"


def test_who_comes_from_msmtp_names_the_account_by_a(boxes: list[Mailbox]) -> None:
    text = b"From: Me <" + ME.encode() + b">\nTo: ann@example.com\nSubject: Hi\n\nHello\n"
    assert sendmail("-a", OTHER, "-t", text=text).code == 0
    assert sendmail("--account=" + OTHER, f"--from={ME}", "--read-recipients", text=text).code == 0
    assert [len(box.messages) for box in boxes] == [0, 2]
    assert boxes[1].messages[0].recipients == ["ann@example.com"]
    assert sendmail("-a", "gmail", "-t", text=text).code == 78, "no account has that name"
    for shown_only in ("-P", "--pretend", "-S", "--serverinfo"):
        assert sendmail(shown_only, "-t", text=text).code == 64
    assert [len(box.messages) for box in boxes] == [0, 2]


def test_a_lone_dot_ends_the_text_unless_i_says_otherwise(box: Mailbox) -> None:
    text = b"To: ann@example.com\nSubject: Hi\n\none\n.\ntwo\n"
    assert sendmail("-t", text=text).code == 0
    assert sendmail("-t", "-oi", text=text).code == 0
    bodies = [mail.data.partition(b"\r\n\r\n")[2] for mail in box.messages]
    assert bodies == [b"one\r\n", b"one\r\n.\r\ntwo\r\n"]


def test_users_of_this_machine_are_whom_the_aliases_name_else_the_owner(home: Path, box: Mailbox) -> None:
    text = b"From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@vm> backup\n\ndone\n"
    assert sendmail("-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root", text=text).code == 0
    [mail] = box.messages
    assert mail.recipients == [ME]
    message = received(box)
    assert message["from"] == f"CronDaemon <{ME}>"
    assert message["to"] == ME

    config = home / "config.toml"
    config.write_text(
        config.read_text("utf-8") + '\n[sendmail.aliases]\nroot = ["ann@example.com", "bob@example.com"]\n',
        "utf-8",
    )
    assert sendmail("-t", text=text).code == 0
    assert box.messages[1].recipients == ["ann@example.com", "bob@example.com"]


def test_what_cannot_be_sent_ends_with_the_codes_of_sysexits(box: Mailbox) -> None:
    text = b"To: ann@example.com\nSubject: Hi\n\nHello\n"
    assert sendmail(text=text).code == 64, "no recipient"
    assert sendmail("-t", text=b"Subject: Hi\n\nHello\n").code == 65
    assert sendmail("-bs", text=text).code == 64
    assert sendmail("--no-such", "-t", text=text).code == 64
    box.refuse_recipients(b"550 5.1.1 no such user")
    assert sendmail("-t", text=text).code == 69
    box.hang_up_after_the_message()
    box.refuse_recipients(b"250 ok")
    assert sendmail("-t", text=text).code == 76
    box.stop()
    assert sendmail("-t", text=text).code == 75
    assert len(box.server.received) == 1, "the one whose outcome is unknown"


def test_a_machine_without_a_network_keeps_its_mail_in_the_outbox(home: Path, box: Mailbox) -> None:
    text = b"To: ann@example.com\nSubject: Hi\n\nHello\n"
    config = home / "config.toml"
    config.write_text(config.read_text("utf-8") + "\n[sendmail]\nqueue = true\n", "utf-8")
    done = sendmail("-t", "--json", text=text)
    assert done.code == 0, done
    assert done.json["status"] == "queued"
    assert not box.messages
    with Outbox(home=home) as outbox:
        outbox.run(once=True)
    assert received(box)["subject"] == "Hi"


def test_nothing_to_do_for_aliases_and_daemons(box: Mailbox) -> None:
    assert sendmail("-bi", text=b"").code == 0
    assert sendmail("-q15m", "-t", text=b"To: a@example.com\n\nHi\n").code == 0


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"To: ann@example.com\n", b"To: ann@example.com\n"),
        (b"To: root\n", b"To: me@corp.example\n"),
        (b"To: root@localhost, Ann <ann@example.com>\n", b"To: me@corp.example,\n Ann <ann@example.com>\n"),
        (b"From: www-data\n", b"From: www-data <me@corp.example>\n"),
        (b"From: =?utf-8?b?5byg5LiJ?= <zhang@vm.localdomain>\n", "From: 张三 <me@corp.example>\n".encode()),
        (b"To: what <is this\n", b"To: what <is this\n"),
        (b"Subject: root\n", b"Subject: root\n"),
        (b"To: ann@example.com,\n\troot\n", b"To: ann@example.com,\n me@corp.example\n"),
    ],
)
def test_only_addresses_of_this_machine_are_replaced(header: bytes, expected: bytes) -> None:
    assert complete(header + b"\nTo: root\n", ME, {}) == expected + b"\nTo: root\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"disk full\nsda1\n", b"\ndisk full\nsda1\n"),
        (b"Subject: disk\ndisk full\n\nsda1: 0\n", b"Subject: disk\n\ndisk full\n\nsda1: 0\n"),
        (b"Subject: disk\nno header\nBcc: boss@example.com\n\nx\n", None),
        (b"From me Wed Nov 25 11:48:50 2026\nSubject: x\n\nx\n", None),
    ],
)
def test_a_line_that_is_no_header_begins_the_text_unless_addresses_follow(
    text: bytes, expected: bytes | None
) -> None:
    assert complete(text, ME, {}) == (expected or text)


def test_what_a_program_says_without_any_header_is_the_text(box: Mailbox) -> None:
    assert sendmail("-i", "ann@example.com", text="磁盘满了\n".encode()).code == 0
    message = received(box)
    assert message.get_content().strip() == "磁盘满了"
    assert message["From"] == ME
    assert sendmail("-t", text=b"To: ann@example.com\nno header\nBcc: boss@example.com\n\nx\n").code == 65


def test_an_alias_for_all_others() -> None:
    aliases = {"root": ["ops@example.com"], "*": ["all@example.com"]}
    found = complete_recipients(["root", "www-data,ann@example.com"], ME, aliases)
    assert found == [Address("ops@example.com"), Address("all@example.com"), Address("ann@example.com")]


@pytest.mark.parametrize("text", [b"a\nb\n.\nc\n", b"a\nb\n.\r\nc\n", b"a\nb\n."])
def test_the_text_ends_at_the_dot(text: bytes) -> None:
    assert without_dot(text) == b"a\nb\n"


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    """What /usr/sbin/sendmail would be: our program."""
    path = tmp_path / "sendmail"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m oauth_mailer sendmail "$@"\n', "utf-8")
    path.chmod(0o755)
    return path


def call(
    *command: str | Path,
    text: bytes = b"",
    cwd: Path | None = None,
    env: Mapping[str, str] = MappingProxyType({}),
) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        input=text,
        capture_output=True,
        timeout=60,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8", **env},
    )
    assert done.returncode == 0, (done.stdout, done.stderr)


def test_git_send_email_sends_a_patch(box: Mailbox, wrapper: Path, tmp_path: Path) -> None:
    require_program("git", "git")
    if shutil.which("perl") is None or not Path("/usr/lib/git-core/git-send-email").exists():
        require_program("git-send-email", "git-email")
    repository = tmp_path / "repository"
    identity = {"GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(tmp_path)}
    for who in ("AUTHOR", "COMMITTER"):
        identity |= {f"GIT_{who}_NAME": "张三", f"GIT_{who}_EMAIL": ME}
    call("git", "init", "-q", repository, env=identity)
    (repository / "file").write_text("hello\n", "utf-8")
    call("git", "add", "file", cwd=repository, env=identity)
    call("git", "commit", "-q", "-m", "问候 and a hello", cwd=repository, env=identity)
    call(
        *(
            "git",
            "send-email",
            "--quiet",
            "--confirm=never",
            f"--sendmail-cmd={wrapper}",
            "--from",
            f"张三 <{ME}>",
        ),
        *("--to", "list@example.com", "--cc", "bob@example.com", "--bcc", "boss@example.com"),
        *("--suppress-cc=all", "--root", "HEAD"),
        cwd=repository,
        env=identity,
    )
    [mail] = box.messages
    assert sorted(mail.recipients) == ["bob@example.com", "boss@example.com", "list@example.com"]
    message = received(box)
    assert message["subject"] == "[PATCH] 问候 and a hello"
    assert message["from"] == f"张三 <{ME}>"
    assert "+hello" in message.get_content()
    assert message["bcc"] is None


def test_mailutils_mail_sends(box: Mailbox, wrapper: Path, tmp_path: Path) -> None:
    require_program("mail.mailutils", "mailutils")
    (tmp_path / ".mailrc").write_text(f"set sendmail=sendmail://{wrapper}\n", "utf-8")
    call(
        "mail.mailutils",
        "-s",
        "Disks 磁盘",
        "ann@example.com",
        text="full 满了\n".encode(),
        env={"HOME": str(tmp_path)},
    )
    [mail] = box.messages
    assert mail.recipients == ["ann@example.com"]
    message = received(box)
    assert message["subject"] == "Disks 磁盘"
    assert message["from"].addresses[0].addr_spec == ME
    assert "满了" in message.get_content()


def test_mutt_sends_with_an_attachment(box: Mailbox, wrapper: Path, tmp_path: Path) -> None:
    require_program("mutt", "mutt")
    muttrc = tmp_path / "muttrc"
    lines = (f'sendmail="{wrapper} -oi"', f'from="{ME}"', "realname=Me", "copy=no", "charset=utf-8")
    muttrc.write_text("".join(f"set {line}\n" for line in lines), "utf-8")
    report = tmp_path / "报告.txt"
    report.write_text("all good\n", "utf-8")
    call(
        *("mutt", "-F", muttrc, "-s", "季度报告", "-a", report, "--", "ann@example.com"),
        text=b"hello\n",
        env={"HOME": str(tmp_path)},
    )
    [mail] = box.messages
    assert mail.recipients == ["ann@example.com"]
    message = received(box)
    assert message["subject"] == "季度报告"
    [attached] = message.iter_attachments()
    assert attached.get_filename() == "报告.txt"


def test_s_nail_sends(box: Mailbox, wrapper: Path, tmp_path: Path) -> None:
    require_program("s-nail", "s-nail")
    call(
        *("s-nail", "-:/", "-Sv15-compat", "-Ssendwait", f"-Smta=file://{wrapper}", f"-Sfrom={ME}"),
        *("-s", "Hi", "-b", "boss@example.com", "ann@example.com"),
        text=b"hello\n",
        env={"HOME": str(tmp_path)},
    )
    [mail] = box.messages
    assert sorted(mail.recipients) == ["ann@example.com", "boss@example.com"]
    assert "hello" in received(box).get_content()


def test_cron_tells_what_a_job_printed(box: Mailbox, wrapper: Path, tmp_path: Path) -> None:
    """A real cron, in a place of its own where /usr/sbin/sendmail is ours."""
    cron = require_program("cron", "cron")
    unshare = require_program("unshare", "util-linux")
    if os.geteuid() != 0:
        pytest.skip("a cron of one's own needs root")
    if not Path("/usr/sbin/sendmail").exists():
        require_program("sendmail", "postfix")
    names = [name for name in os.environ if name.startswith(("OAUTH_MAILER_", "PYTHON"))]
    exported = "".join(f"export {name}='{os.environ[name]}'\n" for name in names)
    wrapper.write_text(f'#!/bin/sh\n{exported}exec {sys.executable} -m oauth_mailer sendmail "$@"\n', "utf-8")
    tabs = tmp_path / "tabs"
    tabs.mkdir(mode=0o1730)
    tab = tabs / "root"
    tab.write_text("MAILTO=ann@example.com\n@reboot echo backup done\n", "utf-8")
    tab.chmod(0o600)
    empty = tmp_path / "empty"
    empty.mkdir()
    script = " && ".join(
        (
            f"mount --bind {tabs} /var/spool/cron/crontabs",
            f"mount --bind {empty} /etc/cron.d",
            "mount -t tmpfs none /run",
            f"mount --bind {wrapper} $(readlink -f /usr/sbin/sendmail)",
            f"exec {cron} -f",
        )
    )
    process = subprocess.Popen([unshare, "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script])
    try:
        assert box.server.parted.acquire(timeout=60)
    finally:
        process.kill()
        process.wait()
    message = received(box)
    assert message["subject"].startswith("Cron <root@")
    assert message["from"] == f"CronDaemon <{ME}>"
    assert message["to"] == "ann@example.com"
    assert message.get_content().strip() == "backup done"
    assert ME in Accounts(Path(os.environ["OAUTH_MAILER_HOME"]))
