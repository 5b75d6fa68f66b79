"""What a store knows about itself."""


async def test_of_a_fact_the_last_value_is_kept(store):
    assert await store.fact("a") is None
    await store.keep_fact("a", b"\x00one")
    await store.keep_fact("b", b"")
    await store.keep_fact("a", b"two")
    assert (await store.fact("a"), await store.fact("b")) == (b"two", b"")


async def test_facts_are_found_by_how_their_names_begin_and_can_be_removed(store):
    for name in ("clock.1", "clock.2", "clocks", "a_clock.3", "cl%ck.4"):
        await store.keep_fact(name, name.encode())
    assert await store.facts("clock.") == {"clock.1": b"clock.1", "clock.2": b"clock.2"}
    assert await store.facts("cl%") == {"cl%ck.4": b"cl%ck.4"}
    for name in ("clock.1", "none"):
        await store.keep_fact(name, None)
    assert await store.facts("clock.") == {"clock.2": b"clock.2"}
    assert await store.fact("clock.1") is None
