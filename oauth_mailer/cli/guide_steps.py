"""The way to an OAuth client in Google's console: each step as a row of data."""

from __future__ import annotations

from dataclasses import dataclass

from ..i18n import N_

__all__ = ["STEPS", "Step", "api_page"]


@dataclass(frozen=True, slots=True)
class Step:
    """``title``: what is done; ``url``: the page; ``text``: what is clicked there. Texts in English."""

    title: str
    url: str
    text: str


_CONSOLE = "https://console.cloud.google.com"

STEPS = (
    Step(N_("Create a project"), f"{_CONSOLE}/projectcreate", N_("Any name will do.")),
    Step(
        N_("Enable the Gmail API"),
        f"{_CONSOLE}/apis/library/gmail.googleapis.com",
        N_("Look that the page shows your new project at its top, here and in all further steps."),
    ),
    Step(
        N_("Describe the app"),
        f"{_CONSOLE}/auth/overview",
        N_(
            "Press Get started: an app name, your address, the audience External (Internal, if you have a "
            "Workspace domain and send within it)."
        ),
    ),
    Step(
        N_("Publish it, or your login dies in 7 days"),
        f"{_CONSOLE}/auth/audience",
        N_(
            "Press Publish app. (If you leave it in testing, add your address as a test user there, and log "
            "in again each week. An Internal app needs neither.)"
        ),
    ),
    Step(
        N_("Name what it may do (may be left out)"),
        f"{_CONSOLE}/auth/scopes",
        N_("Add https://www.googleapis.com/auth/gmail.send and no other: it sends mail, and reads none."),
    ),
    Step(
        N_("Create the client, and download its JSON"),
        f"{_CONSOLE}/auth/clients",
        N_("Create client, the type Desktop app, any name, then Download JSON."),
    ),
)


def api_page(project: str) -> str:
    """The page of the Gmail API in the project with this id."""
    return f"{_CONSOLE}/apis/library/gmail.googleapis.com?project={project}"
