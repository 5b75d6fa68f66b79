"""What is cut off hears nothing, and what is mended hears again; in a namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.chaos.networks import isolated

# Prints whether `b` reaches `a`, and whether this process does.
TRIED = """
import socket
from tests.chaos.networks import Networks
networks = Networks(["a", "b"])
with networks["a"].entered():
    server = socket.create_server(("", 1), backlog=9)
def reaches(name, within_s):
    with networks[name].entered():
        client = socket.socket()
    return comes(client, within_s)
def comes(client, within_s=20):
    client.settimeout(within_s)
    with client:
        return client.connect_ex((networks["a"].address, 1)) == 0
def told(within_s=20):
    print(reaches("b", within_s), comes(socket.socket()))
told()
networks.cut("a", "b")
told(0.5)
networks.mend()
told()
networks.remove()
"""


@pytest.mark.process
def test_two_that_are_cut_off_reach_others_but_not_each_other_until_they_are_mended():
    prefix, reason = isolated()
    if reason:
        pytest.skip(reason)
    interfaces = set(os.listdir("/sys/class/net"))
    done = subprocess.run(
        [*prefix, sys.executable, "-c", TRIED], capture_output=True, text=True, check=False
    )
    assert done.stdout.split("\n")[:3] == ["True True", "False True", "True True"], done.stderr
    assert set(os.listdir("/sys/class/net")) == interfaces
