import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.cluster.links.proofs import MAC_BYTES, Secrets, split_secrets

PARTS = st.lists(st.binary(max_size=20), min_size=1, max_size=4)


@given(PARTS, PARTS)
def test_a_proof_is_of_these_parts_and_of_no_others(parts, others):
    secrets = Secrets(["one"])
    proof = secrets.prove(parts)
    assert len(proof) == MAC_BYTES
    assert secrets.is_proof(proof, others) == (parts == others)


def test_a_byte_cannot_move_from_one_part_to_the_next():
    secrets = Secrets(["one"])
    assert not secrets.is_proof(secrets.prove([b"ab", b"c"]), [b"a", b"bc"])


def test_the_first_secret_proves_and_any_is_accepted():
    old, both, turned, new = (
        Secrets(each) for each in (["old"], ["old", "new"], ["new", "old"], ["new"])
    )
    for one, other in ((old, both), (both, turned), (turned, new)):
        # On the way from one secret to the other each two steps go together, in both directions.
        assert other.is_proof(one.prove([b"x"]), [b"x"])
        assert one.is_proof(other.prove([b"x"]), [b"x"])
    assert not new.is_proof(old.prove([b"x"]), [b"x"])


def test_a_setting_has_one_secret_or_several_with_blanks_between_them():
    assert split_secrets("one") == ("one",)
    assert split_secrets("  new,er   old\n") == ("new,er", "old")


@pytest.mark.parametrize("secrets", [[], [""], ["one", ""]])
def test_nothing_is_no_secret(secrets):
    with pytest.raises(ValueError, match="secret"):
        Secrets(secrets)


def test_secrets_are_not_shown():
    assert "a-long-secret" not in repr(Secrets(["a-long-secret"]))
