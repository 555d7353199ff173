"""The tables of the outbox as its first version made them, frozen, and an entry as it wrote them."""

from __future__ import annotations

import hashlib
import json

_ENTRIES = """
CREATE TABLE oauth_mailer_entries (
    id {number} PRIMARY KEY {counted},
    key TEXT {octets} UNIQUE,
    fingerprint TEXT NOT NULL,
    account TEXT NOT NULL,
    fallback TEXT,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    recipients TEXT NOT NULL,
    only TEXT,
    size BIGINT NOT NULL,
    document {binary} NOT NULL,
    created {real} NOT NULL,
    due {real} NOT NULL,
    not_before {real},
    expires {real},
    changed {real} NOT NULL,
    attempts INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    worker TEXT NOT NULL,
    beat INTEGER NOT NULL,
    lease {real} NOT NULL,
    span {real} NOT NULL,
    sent_as TEXT NOT NULL,
    transport TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    code TEXT NOT NULL,
    text TEXT NOT NULL,
    refused TEXT NOT NULL
)
"""

_OTHERS = (
    """
    CREATE INDEX oauth_mailer_due ON oauth_mailer_entries (account, priority, due, id) WHERE state = 'queued'
    """,
    """
    CREATE INDEX oauth_mailer_expiring ON oauth_mailer_entries (expires)
    WHERE state = 'queued' AND expires IS NOT NULL
    """,
    "CREATE INDEX oauth_mailer_sending ON oauth_mailer_entries (worker) WHERE state = 'sending'",
    "CREATE INDEX oauth_mailer_state ON oauth_mailer_entries (state, changed)",
    "CREATE TABLE oauth_mailer_parts (digest TEXT NOT NULL PRIMARY KEY, content {binary} NOT NULL)",
    "CREATE TABLE oauth_mailer_schema (version INTEGER NOT NULL PRIMARY KEY, seen {real} NOT NULL)",
    """
    CREATE TABLE oauth_mailer_history (
        id {number} PRIMARY KEY,
        entry {reference} NOT NULL REFERENCES oauth_mailer_entries (id) ON DELETE CASCADE,
        at {real} NOT NULL,
        state TEXT NOT NULL,
        worker TEXT NOT NULL,
        account TEXT NOT NULL,
        transport TEXT NOT NULL,
        verdict TEXT NOT NULL,
        code TEXT NOT NULL,
        text TEXT NOT NULL
    )
    """,
    "CREATE INDEX ix_oauth_mailer_history_entry ON oauth_mailer_history (entry)",
    """
    CREATE TABLE oauth_mailer_uses (
        entry {reference} NOT NULL REFERENCES oauth_mailer_entries (id) ON DELETE CASCADE,
        digest TEXT NOT NULL REFERENCES oauth_mailer_parts (digest),
        PRIMARY KEY (entry, digest)
    )
    """,
    "CREATE INDEX ix_oauth_mailer_uses_digest ON oauth_mailer_uses (digest)",
    "INSERT INTO oauth_mailer_schema VALUES (1, 0)",
)

_WORDS = {
    "sqlite": {
        "number": "INTEGER",
        "counted": "AUTOINCREMENT",
        "octets": "",
        "binary": "BLOB",
        "real": "DOUBLE",
        "reference": "INTEGER",
    },
    "postgresql": {
        "number": "BIGSERIAL",
        "counted": "",
        "octets": 'COLLATE "C"',
        "binary": "BYTEA",
        "real": "DOUBLE PRECISION",
        "reference": "BIGINT",
    },
}


def tables(kind: str) -> list[str]:
    """What makes them."""
    return [one.replace(" only TEXT", ' "only" TEXT').format(**_WORDS[kind]) for one in (_ENTRIES, *_OTHERS)]


_ENTRY = """
INSERT INTO oauth_mailer_entries (
    key, fingerprint, account, state, priority, message_id, subject, recipients, size, document, created, due,
    changed, attempts, settled, worker, beat, lease, span, sent_as, transport, remote_id, code, text, refused
) VALUES (
    'key-{number}', '{account} {fingerprint}', '{account}', 'queued', 1, '<{number}@example.org>',
    'Number {number}', '["ann@example.com"]', 400, {document}, 1790000000, 1790000000,
    1790000000, 0, 0, '', 0, 0, 0, '', '', '', '', '', '{{}}'
)
"""


def entry(kind: str, number: int, account: str, content: bytes = b"") -> list[str]:
    """What writes a queued entry. ``content``: of an attachment."""
    blob = "X'{}'" if kind == "sqlite" else "decode('{}', 'hex')"
    digest = hashlib.sha256(content).hexdigest()
    attached = {
        "content": digest,
        "content_id": "",
        "filename": "a.bin",
        "media_type": "application/octet-stream",
    }
    said = {
        "attachments": [attached] if content else [],
        "bcc": [],
        "cc": [],
        "from_name": "",
        "headers": [],
        "html": None,
        "in_reply_to": [],
        "list_unsubscribe": [],
        "one_click": False,
        "priority": "normal",
        "references": [],
        "reply_to": [],
        "subject": f"Number {number}",
        "text": "Hello",
        "to": [["ann@example.com", "Ann"]],
    }
    made = {"date": "2026-11-25T03:00:00+00:00", "id": f"<{number}@example.org>"}
    document = json.dumps({"form": 1, "made": made, "said": said}, separators=(",", ":"))
    fingerprint = hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()
    kept = blob.format(document.encode().hex())
    statements = [_ENTRY.format(number=number, account=account, fingerprint=fingerprint, document=kept)]
    if content:
        part = blob.format(content.hex())
        statements += [
            f"INSERT INTO oauth_mailer_parts VALUES ('{digest}', {part}) ON CONFLICT DO NOTHING",
            f"INSERT INTO oauth_mailer_uses SELECT max(id), '{digest}' FROM oauth_mailer_entries",
        ]
    return statements
