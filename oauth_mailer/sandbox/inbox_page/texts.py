"""The texts of the page. Values in braces are put in by the page."""

from __future__ import annotations

from ...i18n import _

__all__ = ["texts"]


def texts() -> dict[str, str]:
    """All of them, by the name that the page has for each."""
    return {**_frame(), **_list(), **_message(), **_check(), **_faults(), **_keys()}


def _frame() -> dict[str, str]:
    return {
        "title": _("Sandbox inbox"),
        "no_script": _("This page needs JavaScript. The same is to be had as JSON from /api/messages."),
        "live": _("Live"),
        "connecting": _("Connecting…"),
        "lost": _("No connection. Is the sandbox still running?"),
        "close": _("Close"),
        "cancel": _("Cancel"),
        "failed": _("That did not work: {reason}"),
    }


def _list() -> dict[str, str]:
    return {
        "messages": _("Messages"),
        "search": _("Search"),
        "search_hint": _("Sender, recipient or subject"),
        "count": _("Messages: {count}"),
        "count_found": _("Found: {count} of {all}"),
        "count_newest": _("The newest {count} of {all} messages"),
        "nothing_found": _("Nothing here has all of these words."),
        "no_subject": _("(no subject)"),
        "no_sender": _("(no sender)"),
        "bcc": _("Bcc"),
        "unread": _("new"),
        "arrived": _("From {sender}: {subject}"),
        "waiting": _("Waiting for the first message"),
        "waiting_hint": _(
            "It appears here as soon as it is sent to one of these. Nothing leaves this machine."
        ),
        "choose": _("No message is open"),
        "choose_hint": _("Choose one from the list. Others can be sent to:"),
        "gmail_api": _("Gmail API"),
        "smtp_tls": _("SMTP with TLS"),
        "smtp_starttls": _("SMTP with STARTTLS"),
        "ca_file": _("Its certificate"),
        "code": _("Authorization code"),
        "copy": _("Copy"),
        "copied": _("Copied"),
        "clear": _("Clear"),
        "clear_ask": _("Forget all messages?"),
        "clear_hint": _("What happened and the counts are forgotten, too. Logins and plans stay."),
        "cleared": _("All messages were forgotten."),
    }


def _message() -> dict[str, str]:
    return {
        "message": _("Message"),
        "back": _("Back to the list"),
        "gone": _("This message is no longer here."),
        "loading": _("Loading…"),
        "from": _("From"),
        "to": _("To"),
        "at": _("Arrived"),
        "logged_in": _("logged in as {account}"),
        "download": _("Download"),
        "download_eml": _("Download .eml"),
        "views": _("Views of the message"),
        "tab_html": _("HTML"),
        "tab_phone": _("Phone"),
        "tab_text": _("Text"),
        "tab_headers": _("Headers"),
        "tab_source": _("Source"),
        "tab_attachments": _("Attachments"),
        "tab_check": _("Check"),
        "frame": _("The message as HTML"),
        "remote": _("Images from elsewhere that are not loaded: {count}"),
        "remote_load": _("Load the images"),
        "remote_loaded": _("Images from elsewhere are loaded: their servers know now that this was opened."),
        "no_html": _("The message has no HTML."),
        "no_text": _(
            "The message has no text part. Who reads without HTML sees nothing, or whatever is made of it."
        ),
        "text_cut": _("Only the beginning is shown. The whole is in the file."),
        "phone_list": _("In the list of messages"),
        "phone_open": _("Opened, 375 pixels wide"),
        "no_attachments": _("Nothing is attached."),
        "inline": _("in the text"),
        "name": _("Name"),
        "value": _("Value"),
    }


def _check() -> dict[str, str]:
    return {
        "warnings": _("Worth a look"),
        "all_well": _("Nothing to complain of."),
        "sizes": _("Size"),
        "size_total": _("As sent"),
        "size_html": _("HTML"),
        "size_html_limit": _("of the 102 KB that Gmail shows"),
        "size_total_limit": _("of the 25 MB that most servers take"),
        "size_text": _("Text"),
        "size_attachments": _("Attachments"),
        "links": _("Links"),
        "no_links": _("There are no links."),
        "link_empty": _("leads nowhere"),
        "link_unfilled": _("a placeholder was not filled in"),
        "link_script": _("runs a script: blocked everywhere"),
        "link_relative": _("not a whole address: a mail has no page that it is relative to"),
        "link_malformed": _("not an address"),
        "no_link_text": _("(no text)"),
    }


def _faults() -> dict[str, str]:
    return {
        "faults": _("Faults"),
        "faults_hint": _("What becomes of the next attempts, one step for each."),
        "faults_on": _("on: {count}"),
        "smtp": _("SMTP server"),
        "gmail": _("Gmail API"),
        "token": _("Token endpoint"),
        "all_attempts_well": _("All is well."),
        "step": _("Next step"),
        "add": _("Add"),
        "remove": _("Remove {step}"),
        "then_ok": _("then all is well"),
        "then_on": _("the last one goes on"),
        "apply": _("Apply"),
        "mend": _("All is well again"),
        "applied": _("Applied. The next attempt meets it."),
        "unapplied": _("Not applied yet."),
        "log": _("What happened"),
        "log_empty": _("Nothing yet."),
        "accepted": _("accepted"),
        "refused": _("refused"),
        "no_answer": _("no answer"),
    }


def _keys() -> dict[str, str]:
    return {
        "keys": _("Keys"),
        "key_move": _("next, previous message"),
        "key_open": _("open it"),
        "key_tabs": _("views of the message"),
        "key_search": _("search"),
        "key_faults": _("faults"),
        "key_back": _("back to the list"),
        "key_keys": _("this help"),
    }
