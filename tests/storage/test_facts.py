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


async def test_a_write_is_proved_by_one_row_of_any_size(store):
    for size_bytes in (16, 1 << 20, 16):
        await store.prove(size_bytes)
        for shard in store.shards.values():
            await shard.prove(size_bytes)
    sizes = [len(value) for value in (await store.facts("proof")).values()]
    assert sizes == ([] if store.kind == "memory" else [16])
