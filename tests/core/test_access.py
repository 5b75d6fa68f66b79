import msgspec

from conduit.core.access import KeyRecord
from conduit.grants import Grant


def test_a_key_is_without_limits_end_and_rotation_unless_that_is_said():
    key = KeyRecord(
        key_id="a1B2c3D4",
        tenant="acme",
        name="web",
        grants=(Grant(scope="publish"),),
        secret_hash=b"h",
        created_at_ms=1,
        created_by="server",
    )
    assert key.expires_at_ms is key.revoked_at_ms is key.former_hash is key.former_until_ms is None
    assert msgspec.json.decode(msgspec.json.encode(key.limits)) == {}
