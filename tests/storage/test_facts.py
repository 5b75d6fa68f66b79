"""What a store knows about itself."""


async def test_of_a_fact_the_last_value_is_kept(store):
    assert await store.fact("a") is None
    await store.keep_fact("a", b"\x00one")
    await store.keep_fact("b", b"")
    await store.keep_fact("a", b"two")
    assert (await store.fact("a"), await store.fact("b")) == (b"two", b"")
