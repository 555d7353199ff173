"""google-api-python-client as its guide shows it, its service made once."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

NAME = "google-api-python-client"
MODULES = ("googleapiclient", "google_auth_httplib2")


def prepare(_what: str, _job: Any) -> None:
    """Import it."""
    import googleapiclient.discovery  # noqa: F401


def gmail(job: Any) -> None:
    """The message in JSON."""
    from google.oauth2.credentials import Credentials
    from googleapiclient.discovery import build

    service = build(
        "gmail",
        "v1",
        credentials=Credentials(token=job.token),
        client_options={"api_endpoint": job.base_url},
    )
    for number in range(job.count):
        raw = urlsafe_b64encode(job.email_message(number).as_bytes()).decode()
        service.users().messages().send(userId="me", body={"raw": raw}).execute()
