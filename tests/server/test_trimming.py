from itertools import zip_longest

from conduit.server.trimming import CONNECTION_BYTES, WORTHWHILE_BYTES, Trimming, malloc_trim

MUCH = 2 * WORTHWHILE_BYTES


def trims(*looks: int, connections: tuple[int, ...] = ()) -> int:
    """How often memory is given back; of these looks each has so many connections, or none."""
    calls: list[int] = []
    trimming = Trimming(lambda: calls.append(1))
    for kept_bytes, connection_count in zip_longest(looks, connections, fillvalue=0):
        trimming.look(kept_bytes, connection_count)
    trimming.stop()
    return len(calls)


def test_memory_is_given_back_when_much_has_fallen_by_half():
    assert trims(0, MUCH, MUCH // 2 + 1) == 0
    assert trims(0, MUCH, MUCH // 2) == 1


def test_it_is_given_back_once_for_each_wave():
    assert trims(MUCH, 0, 0, 0) == 1
    assert trims(MUCH, 0, MUCH, 0) == 2


def test_a_little_is_not_worth_it():
    assert trims(WORTHWHILE_BYTES - 1, 0) == 0


def test_many_connections_that_go_are_worth_it_although_they_kept_nothing():
    many = WORTHWHILE_BYTES // CONNECTION_BYTES + 1
    assert many < 5_000
    assert trims(connections=(many, many // 2 + 1)) == 0
    assert trims(connections=(many, many // 2)) == 1
    assert trims(connections=(many - 1, 0)) == 0
    assert trims(MUCH, 0, connections=(many, many)) == 1


def test_the_call_of_this_system_can_be_made():
    malloc_trim()()
