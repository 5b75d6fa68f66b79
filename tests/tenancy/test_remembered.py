import pytest

from conduit.tenancy.remembered import Remembered


def test_what_was_put_is_there_until_it_is_forgotten():
    known = Remembered()
    known.put("a", 1)
    known.put("b", 2)
    known.put("a", 3)
    assert (known.get("a"), known.get("b"), known.get("c"), len(known)) == (3, 2, None, 2)
    known.forget("a")
    known.forget("a")
    assert known.get("a") is None
    known.clear()
    assert (known.get("b"), len(known)) == (None, 0)


def test_beyond_a_count_the_one_that_was_not_asked_for_longest_goes():
    known = Remembered(max_count=2)
    known.put("a", 1)
    known.put("b", 2)
    assert known.get("a") == 1
    known.put("c", 3)
    assert [known.get(token) for token in "abc"] == [1, None, 3]


@pytest.mark.parametrize("before", [lambda _: None, Remembered.clear, lambda k: k.forget("x" * 5)])
def test_beyond_a_size_as_many_go_as_it_takes(before):
    known = Remembered(max_bytes=10)
    known.put("x" * 5, 0)
    before(known)
    for token in ("aaaa", "bbb", "ccc"):
        known.put(token, token)
    assert len(known) == 3
    known.put("ddddddd", 1)
    assert [known.get(token) for token in ("aaaa", "bbb", "ccc", "ddddddd")] == [
        None,
        None,
        "ccc",
        1,
    ]
    known.put("e" * 11, 1)
    assert len(known) == 0


def test_one_that_is_put_again_counts_once():
    known = Remembered(max_bytes=10)
    for value in range(5):
        known.put("aaaa", value)
    known.put("bbbb", 1)
    assert (known.get("aaaa"), known.get("bbbb")) == (4, 1)


def test_no_token_is_kept():
    known = Remembered()
    known.put("secret", 1)
    assert "secret" not in repr(vars(known))
    assert b"secret" not in b"".join(known._known)


def test_any_text_can_be_asked_for():
    assert Remembered().get("\ud800\0é") is None
