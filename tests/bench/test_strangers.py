import fcntl
import json
import select
import socket
import sys
import termios

import pytest

from bench import attacking, provider, strangers, wire
from bench.attacks import Then
from conduit.tenancy.compact import take_apart
from conduit.tenancy.jwks import read_jwks
from conduit.tenancy.keys import id_of
from conduit.tenancy.signatures import holds
from conduit.tenancy.tokens import Tokens
from tests.bench.frames import parsed
from tests.bench.test_attacks import Requests

EVERY = strangers.of_strangers(short=True)


def block_of(name: str) -> bytes:
    return strangers.named(name, short=True).block()


def test_all_attacks_have_names_of_their_own_and_an_end():
    names = [attack.name for attack in strangers.every(short=True)]
    assert len({*names, strangers.PUBLISHES.name}) == len(names) + 1
    for attack in EVERY:
        assert attack.auth
        assert attack.connections <= attack.opened_max <= 60_000
        if attack.beside:
            assert strangers.named(attack.beside, short=True).auth


def test_the_long_form_has_what_is_promised():
    counts = {attack.name: attack.connections for attack in strangers.of_strangers(short=False)}
    assert counts["headers at a byte a second"] == 2_000
    assert counts["half-open: nothing said"] == 1_000
    assert counts["half-open: gone without a word"] == 1_000
    assert counts["all come back, with keys"] == counts["all come back, with auth frames"] == 5_000
    assert counts["subscribers that never read"] == 200


@pytest.mark.parametrize(
    "attack",
    [pytest.param(each, id=each.name) for each in EVERY if each.unit == "requests"],
)
def test_requests_are_whole_and_each_has_one_credential(attack):
    block = attack.block()
    found = Requests(block)
    assert attack.count(block) == found.whole == len(found.paths) > 0
    assert block.count(b"\r\nAuthorization: ") == found.whole


def test_a_slow_head_does_not_end():
    assert Requests(block_of("headers at a byte a second")).whole == 0


def test_wrong_keys_are_spelled_as_keys_and_none_is_like_another():
    keys = {strangers.wrong_key() for _ in range(100)}
    assert len({id_of(key.encode()) for key in keys} - {None}) == len(keys) == 100


@pytest.mark.parametrize("size", [300, strangers.TOKEN_MAX_BYTES])
def test_a_forged_token_passes_for_one_until_its_signature_is_looked_at(size):
    token = strangers.forged_token(size)
    assert Tokens.is_own(token)
    assert size - 3 <= len(token) <= size
    assert token.count(".") == 2


def test_who_signs_in_has_the_key_of_its_process():
    wire.CALLER.key = "a-key"
    try:
        auth, subscribe = parsed(strangers.signs_in())
    finally:
        wire.CALLER.key = ""
    assert json.loads(auth.data) == {"type": "auth", "token": "a-key"}
    assert json.loads(subscribe.data)["type"] == "subscribe"


def test_noise_cannot_end_a_header():
    assert not {*strangers.noise(100_000)} & {*b"\r\n\0 "}


def test_nothing_comes_out_of_a_connection_that_has_vanished():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
        with client, server:
            client.setsockopt(
                socket.SOL_SOCKET, attacking.SO_ATTACH_FILTER, attacking._NOTHING_COMES_IN
            )
            server.send(b"are you there?")
            assert not select.select([client], [], [], 0.1)[0]
            untaken = fcntl.ioctl(server.fileno(), termios.TIOCOUTQ, bytes(4))
            assert int.from_bytes(untaken, sys.byteorder) == 14


def test_those_that_vanish_do_so_after_all_was_said():
    (attack,) = (each for each in EVERY if each.then is Then.VANISH)
    assert len(parsed(attack.block())) == 2


def test_tokens_of_the_provider_are_wrong_by_their_signature_alone():
    jwks = read_jwks(provider.document(), ("RS256",))
    assert (jwks.count, jwks.left_out) == (1, {})
    parts = take_apart(provider.forged())
    header = json.loads(parts.header)
    key = jwks.keys[header["kid"], header["alg"]]
    assert not holds("RS256", key, parts.signed, parts.signature)
