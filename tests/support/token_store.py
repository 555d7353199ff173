"""What every token store promises. A kind of store inherits this and gives itself as ``store``."""

from __future__ import annotations

import logging
import pickle
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oauth_mailer.errors import StoreError
from oauth_mailer.stores import Secret, Slot, TokenStore, kinds

CODE = Slot("me@qq.com", "code")
CANARY = "canary-5up3r-s3cr3t-token"

READABLE = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=60
).filter(lambda text: text.strip())


class TokenStoreContract:
    """Reading and writing."""

    examples = 15

    @pytest.fixture
    def store(self) -> TokenStore:
        raise NotImplementedError("a kind of store gives itself")

    def test_it_says_its_kind_by_the_name_of_its_file(self, store: TokenStore) -> None:
        assert store.kind in kinds()
        assert store.writable

    def test_there_is_nothing_before_something_is_kept(self, store: TokenStore) -> None:
        assert store.get(CODE) is None

    def test_what_was_kept_is_given_back(self, store: TokenStore) -> None:
        store.set(CODE, Secret(CANARY))
        assert store.get(CODE) == Secret(CANARY)

    def test_a_new_secret_replaces_the_old_one(self, store: TokenStore) -> None:
        store.set(CODE, Secret("old"))
        store.set(CODE, Secret("new"))
        assert store.get(CODE) == Secret("new")

    def test_what_was_deleted_is_gone(self, store: TokenStore) -> None:
        store.set(CODE, Secret(CANARY))
        store.delete(CODE)
        assert store.get(CODE) is None

    def test_deleting_what_is_not_there_is_no_error(self, store: TokenStore) -> None:
        store.delete(CODE)
        store.set(CODE, Secret(CANARY))
        store.delete(CODE)
        store.delete(CODE)
        assert store.get(CODE) is None

    def test_a_secret_of_1280_units_is_kept_whole(self, store: TokenStore) -> None:
        for secret in (Secret("x" * 1280), Secret("密" * 1280), Secret("🔑" * 640)):
            store.set(CODE, secret)
            assert store.get(CODE) == secret

    def test_any_readable_text_comes_back_unharmed(self, store: TokenStore) -> None:
        @settings(
            max_examples=self.examples,
            deadline=None,
            suppress_health_check=[HealthCheck.nested_given],
            database=None,
        )
        @given(READABLE)
        def comes_back(text: str) -> None:
            store.set(CODE, Secret(text))
            assert store.get(CODE) == Secret(text)

        comes_back()

    @pytest.mark.parametrize(
        "text", ["", "two\nlines", "carriage\rreturn", "nul\0", "\udc80", "\u2028", "\x85", "newline\n"]
    )
    def test_a_text_that_no_store_gives_back_unharmed_is_refused(self, store: TokenStore, text: str) -> None:
        store.set(CODE, Secret("old"))
        with pytest.raises(StoreError) as caught:
            store.set(CODE, Secret(text))
        assert caught.value.code == "secret-form"
        assert store.get(CODE) == Secret("old")

    def test_accounts_and_purposes_are_never_mixed(self, store: TokenStore) -> None:
        slots = [
            Slot("me@qq.com", "code"),
            Slot("me@163.com", "code"),
            Slot("me@qq.com", "refresh client-1 gmail.send"),
            Slot("me@qq.com", "refresh client-2 gmail.send"),
            Slot("me@qq.com.cn", "code"),
            Slot("code@me", "qq.com"),
        ]
        for number, slot in enumerate(slots):
            store.set(slot, Secret(f"secret {number}"))
        assert [store.get(slot) for slot in slots] == [Secret(f"secret {n}") for n in range(len(slots))]
        store.delete(slots[0])
        assert [store.get(slot) for slot in slots[:2]] == [None, Secret("secret 1")]

    def test_the_case_of_the_address_makes_no_difference(self, store: TokenStore) -> None:
        store.set(Slot("Me@QQ.com", "code"), Secret("one"))
        assert store.get(Slot("me@qq.COM", "code")) == Secret("one")
        store.delete(Slot("ME@qq.com", "code"))
        assert store.get(Slot("Me@QQ.com", "code")) is None

    def test_a_cached_secret_is_kept_or_refused_cleanly(self, store: TokenStore) -> None:
        access = Slot("me@qq.com", "access", cached=True)
        try:
            store.set(access, Secret(CANARY))
        except StoreError as error:
            assert error.hint  # noqa: PT017 - both ways are right, and each is checked
            assert store.get(access) is None
        else:
            assert store.get(access) == Secret(CANARY)
            store.delete(access)
        assert store.get(access) is None

    def test_threads_that_write_different_secrets_lose_none(self, store: TokenStore) -> None:
        slots = [Slot(f"user{number}@qq.com", "code") for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda slot: store.set(slot, Secret(slot.account)), slots))
            read = list(pool.map(store.get, slots))
        assert read == [Secret(slot.account) for slot in slots]

    def test_no_secret_is_shown(self, store: TokenStore, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        secret = Secret(CANARY)
        store.set(CODE, secret)
        shown = [repr(store), str(store), repr(store.get(CODE)), f"{secret} {secret!r} {secret!s:>9}"]
        with pytest.raises(StoreError) as caught:
            store.set(CODE, Secret(f"{CANARY}\n{CANARY}"))
        shown += [*traceback.format_exception(caught.value), repr(caught.value), str(vars(caught.value))]
        with pytest.raises(TypeError):
            pickle.dumps(secret)
        assert CANARY not in "".join(shown) + caplog.text
