from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.cluster.links.proofs import MAC_BYTES, Secrets, split_secrets

PARTS = st.lists(st.binary(max_size=20), min_size=1, max_size=4)


@given(PARTS, PARTS)
def test_a_proof_is_of_these_parts_and_of_no_others(parts, others):
    secrets = Secrets(["one"])
    proofs = secrets.prove(parts)
    assert [len(proof) for proof in proofs] == [MAC_BYTES]
    assert (secrets.proved(proofs, others) is not None) == (parts == others)


def test_a_byte_cannot_move_from_one_part_to_the_next():
    secrets = Secrets(["one"])
    assert secrets.proved(secrets.prove([b"ab", b"c"]), [b"a", b"bc"]) is None


def test_one_secret_that_both_have_is_enough_and_is_what_is_proved_back():
    parts = [b"x"]
    lists = (["old"], ["old", "new"], ["new", "old"], ["new"], ["other", "new", "third"])
    for one, other in product(lists, lists):
        shared = Secrets(other).proved(Secrets(one).prove(parts), parts)
        assert (shared is not None) == bool({*one} & {*other})
        if shared is not None:
            assert Secrets(one).proved(shared.prove(parts)[:1], parts) is not None


def test_a_setting_has_one_secret_or_several_with_blanks_between_them():
    assert split_secrets("one") == ("one",)
    assert split_secrets("  new,er   old\n") == ("new,er", "old")


@pytest.mark.parametrize("secrets", [[], [""], ["one", ""]])
def test_nothing_is_no_secret(secrets):
    with pytest.raises(ValueError, match="secret"):
        Secrets(secrets)


def test_secrets_are_not_shown():
    assert "a-long-secret" not in repr(Secrets(["a-long-secret"]))
