from conduit.tenancy.default_key import default_record
from conduit.tenancy.keys import is_key_id


def test_another_key_is_another_record():
    one, other = default_record(b"p", "one" * 6), default_record(b"p", "two" * 6)
    assert is_key_id(one.key_id)
    assert one.key_id != other.key_id
    assert one.secret_hash != other.secret_hash
    assert default_record(b"p", "one" * 6) == one
    assert default_record(b"q", "one" * 6).key_id != one.key_id
    assert {grant.scope for grant in one.grants} == {"publish", "subscribe", "manage"}
