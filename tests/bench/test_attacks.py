import httptools
import pytest
from websockets.frames import Opcode

from bench import attacks, wire
from bench.attacks import Then
from tests.bench.frames import parsed

EVERY = attacks.attacks(short=True)


class Requests:
    """What an HTTP parser of others finds."""

    def __init__(self, data: bytes) -> None:
        self.whole = 0
        self.body_bytes = 0
        self.paths: list[bytes] = []
        httptools.HttpRequestParser(self).feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.paths.append(url)

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)

    def on_message_complete(self) -> None:
        self.whole += 1


def blocks(unit: str, websocket: bool) -> list:
    chosen = [a for a in EVERY if a.unit == unit and a.websocket is websocket]
    return [pytest.param(each, id=each.name) for each in chosen]


@pytest.mark.parametrize("attack", blocks("frames", websocket=True))
def test_floods_of_frames_fill_one_read_with_whole_frames(attack):
    block = attack.block()
    frames = parsed(attack.first + block)[len(parsed(attack.first)) :]
    assert attack.count(block) == len(frames)
    assert attacks.READ_BYTES * 0.99 < len(block) <= attacks.READ_BYTES
    assert attack.then is Then.AGAIN


def test_the_invalid_frames_have_7_bytes():
    block = attacks.named("invalid frames of 7 bytes", short=True).block()
    assert len(block) // attacks.frame_count(block) == 7
    assert {frame.data for frame in parsed(block)} == {b"x"}


def test_a_block_that_ends_within_a_frame_is_not_counted():
    whole = wire.text_frame(b"x" * 300) + wire.text_frame(b"x" * 70_000) + attacks.PING
    assert attacks.frame_count(whole) == 3
    with pytest.raises(ValueError, match="cut"):
        attacks.frame_count(whole[:-1])


def test_each_ack_is_of_another_message():
    texts = [frame.data for frame in parsed(attacks.acks(700))]
    assert len(set(texts)) == 700


def test_fragments_continue_one_message_that_never_ends():
    attack = attacks.named("empty fragments", short=True)
    begins, *rest = parsed(attack.first + attack.block()[:600])
    assert (begins.opcode, begins.fin) == (Opcode.TEXT, False)
    assert {(each.opcode, each.fin, each.data) for each in rest} == {(Opcode.CONT, False, b"")}


@pytest.mark.parametrize("attack", blocks("requests", websocket=False))
def test_requests_are_whole_unless_they_are_to_be_unfinished(attack):
    block = attack.block()
    found = Requests(block)
    assert attack.count(block) == len(found.paths)
    assert found.whole == (0 if "unfinished" in attack.name else len(found.paths))
    assert all(path.startswith((b"/api/", b"/health")) for path in found.paths)


def test_chunks_of_one_byte_are_within_the_limit_also_as_they_come():
    block = attacks.tiny_chunks(attacks.CHUNKED_BYTES)
    assert Requests(block).body_bytes == attacks.CHUNKED_BYTES
    assert len(block) < attacks.BATCH_MAX_BYTES


def test_an_unfinished_message_lacks_one_byte():
    whole, cut = attacks.large_frame(), attacks.large_frame(missing=1)
    assert len(parsed(whole)[0].data) == attacks.FRAME_BYTES
    assert cut == whole[:-1]


def test_all_attacks_have_names_of_their_own_and_an_end():
    assert len({attack.name for attack in EVERY}) == len(EVERY)
    for attack in EVERY:
        assert attacks.named(attack.name, short=True).unit == attack.unit
        assert attack.connections <= attack.opened_max <= 60_000
