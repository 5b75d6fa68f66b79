import random
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.tenancy.keys import hash_of, id_of, is_key_id, make_key

KEY = make_key(random.Random(1).choice)


def test_a_key_is_spelled_as_the_wire_has_it():
    key_id, text = make_key(secrets.choice)
    front, end = f"ck_live_{key_id}_", text[-38:]
    assert text == front + end
    assert len(key_id) == 8
    assert end.isalnum()
    assert end.isascii()
    assert id_of(text.encode()) == key_id
    assert is_key_id(key_id)


def test_no_two_keys_are_alike_and_a_new_secret_keeps_the_id():
    assert len({make_key(secrets.choice).text for _ in range(100)}) == 100
    again = make_key(secrets.choice, KEY.key_id)
    assert again.key_id == KEY.key_id
    assert again.text != KEY.text


def test_the_check_is_crc_32_in_base_62_of_what_stands_before():
    first = make_key(lambda characters: characters[0])
    # zlib.crc32 of the front is 3,302,136,036; in base 62 that is 3bTOy8.
    assert first.text.startswith("ck_live_00000000_" + "0" * 32)
    assert id_of(first.text.encode()) == "00000000"


@given(st.integers(0, len(KEY.text) - 1), st.characters(codec="ascii"))
def test_a_typing_error_is_no_key(place, character):
    changed = KEY.text[:place] + character + KEY.text[place + 1 :]
    if changed != KEY.text:
        assert id_of(changed.encode()) is None


@given(st.binary(max_size=80))
def test_anything_else_is_no_key(text):
    assert id_of(text) is None


@pytest.mark.parametrize(
    "text", [f"{KEY.text}\n", f" {KEY.text}", KEY.text[:-1], KEY.text.lower(), ""]
)
def test_what_looks_nearly_like_one_is_no_key(text):
    assert id_of(text.encode()) is None


def test_the_hash_depends_on_the_pepper_and_on_all_of_the_key():
    key = KEY.text.encode()
    hashes = {hash_of(b"a", key), hash_of(b"b", key), hash_of(b"a", key[:-1] + b"?")}
    assert len(hashes) == 3
    assert all(len(each) == 32 for each in hashes)
