"""The consent page: what it asks a person, and which requests it does not answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oauth_mailer.sandbox import Sandbox

from .application import SEND, Application, Form, ask


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


@pytest.fixture
def application(sandbox: Sandbox) -> Application:
    return Application(sandbox)


def test_the_page_says_what_it_is_and_asks_for_each_scope(application: Application) -> None:
    form = application.page(scope=f"openid {SEND} email", login_hint="ann@gmail.com")
    assert "not Google" in form.text
    assert "Send e-mail on your behalf" in form.text
    assert application.client["client_id"] in form.text
    assert form.fields["account"] == "ann@gmail.com"
    assert form.ticked == {"openid": True, SEND: True, "email": True}
    assert set(form.buttons) == {"allow", "deny"}


def test_the_account_is_the_sandboxs_where_the_application_names_none() -> None:
    with Sandbox(account="somebody@gmail.com") as sandbox:
        assert Application(sandbox).page().fields["account"] == "somebody@gmail.com"


def test_a_persons_yes_comes_back_with_a_code_and_the_very_state(application: Application) -> None:
    application.state = "a b&c=/?é"
    found = application.redirected(application.submit(application.page()))
    assert set(found) == {"state", "code", "scope"}
    assert found["state"] == "a b&c=/?é"
    assert found["scope"] == SEND
    assert application.exchange(found["code"]).status == 200


@pytest.mark.parametrize(
    "redirect_uri",
    ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/", "http://127.0.0.1:1/oauth/back?kept=1"],
)
def test_any_loopback_address_is_redirected_to(sandbox: Sandbox, redirect_uri: str) -> None:
    application = Application(sandbox, redirect_uri=redirect_uri)
    found = application.redirected(application.submit(application.page()))
    assert found["state"] == application.state
    assert found.get("kept") == ("1" if "kept" in redirect_uri else None)
    assert application.exchange(found["code"]).status == 200


def test_a_persons_no_comes_back_as_access_denied(application: Application, sandbox: Sandbox) -> None:
    found = application.redirected(application.submit(application.page(), "deny"))
    assert found == {"error": "access_denied", "state": application.state}
    assert sandbox.counts["consent.deny"] == 1


def test_an_unticked_scope_is_not_granted(application: Application) -> None:
    form = application.page(scope=f"openid {SEND}")
    form.ticked[SEND] = False
    found = application.redirected(application.submit(form))
    assert found["scope"] == "openid"
    assert application.exchange(found["code"]).json["scope"] == "openid"


def test_to_allow_nothing_is_to_deny(application: Application) -> None:
    form = application.page()
    form.ticked[SEND] = False
    assert application.redirected(application.submit(form))["error"] == "access_denied"


def test_a_scope_that_was_not_asked_for_cannot_be_ticked_in(application: Application) -> None:
    form = application.page(scope="openid")
    form.ticked["https://mail.google.com/"] = True
    assert application.redirected(application.submit(form))["scope"] == "openid"


def test_a_wrong_address_is_said_on_the_page_and_the_person_goes_on(application: Application) -> None:
    form = application.page(scope=f"openid {SEND}")
    form.ticked["openid"] = False
    form.fields["account"] = '"><b>nobody'
    answer = application.submit(form)
    assert answer.status == 400
    again = Form(answer.text)
    assert "Enter an e-mail address." in again.text
    assert again.fields["account"] == '"><b>nobody'
    assert again.ticked == {"openid": False, SEND: True}
    again.fields["account"] = "me@gmail.com"
    assert application.redirected(application.submit(again))["scope"] == SEND


def test_a_page_is_answered_once(application: Application) -> None:
    form = application.page()
    assert application.submit(form).status == 303
    answer = application.submit(form)
    assert answer.status == 400
    assert "page_expired" in answer.text


def test_another_site_cannot_answer_in_the_persons_place(application: Application) -> None:
    form = application.page()
    assert application.submit(form, Origin="https://evil.example").status == 403
    assert application.submit(form, Origin=application.sandbox.gmail_endpoint).status == 303


def test_the_page_may_load_nothing_and_be_framed_by_nobody(application: Application) -> None:
    headers = ask(application.asks()).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:1" in policy
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_id": "another.apps.googleusercontent.com"}, "invalid_client"),
        ({"client_id": None}, "invalid_client"),
        ({"redirect_uri": None}, "redirect_uri_mismatch"),
        ({"redirect_uri": "https://127.0.0.1:1/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://example.com/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://127.0.0.1.example.com/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://127.0.0.1@example.com/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://192.0.2.1/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://127.0.0.1:99999/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://127.0.0.1/#x"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://127.0.0.1/\r\nX: y"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "urn:ietf:wg:oauth:2.0:oob"}, "redirect_uri_mismatch"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"state": None}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": " "}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"access_type": "forever"}, "invalid_request"),
    ],
)
def test_a_request_that_is_not_right_ends_on_an_error_page(
    application: Application, changed: dict[str, str | None], error: str
) -> None:
    answer = ask(application.asks(**changed))
    assert answer.status == 400
    assert "Location" not in answer.headers
    assert f'id="error">{error}<' in answer.text


def test_a_parameter_given_twice_is_no_request(application: Application) -> None:
    answer = ask(application.asks() + "&redirect_uri=http%3A%2F%2F127.0.0.1%3A2%2F")
    assert answer.status == 400
    assert "redirect_uri is given twice" in answer.text


def test_markup_from_the_application_stays_text(application: Application) -> None:
    answer = ask(application.asks(login_hint='"><script>x</script>', scope="<b>bold</b>"))
    assert "<script>" not in answer.text
    assert "<b>" not in answer.text
    assert Form(answer.text).fields["account"] == '"><script>x</script>'


def test_the_page_is_in_the_persons_language(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert application.page().language == "en"
    monkeypatch.setenv("OAUTH_MAILER_LANG", "zh_CN")
    assert application.page().language == "zh-CN"
