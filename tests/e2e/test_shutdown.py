"""SIGTERM, restart and SIGKILL: what was acked is there, and everything goes on from its place."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
from http.client import HTTPException

import pytest

from tests.support.http import Api, accepted
from tests.support.raw import RawHttp, RawSocket
from tests.support.server import ServerError, clean_environment, free_port, running_server
from tests.support.wait import DEADLINE_S, until
from tests.support.ws import WsClient, payloads

SQLITE = {"DATABASE_URL": "sqlite:///conduit.db"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_says_closing_closes_with_1012_and_exits_with_0_in_time(number):
    with running_server(**SQLITE) as server:
        clients = [WsClient(server.ws_url) for _ in range(20)]
        for client in clients:
            client.subscribe("t")
        server.send_signal(number)
        code, seconds = server.wait()
        assert code == 0
        assert seconds < 10
        for client in clients:
            assert client.closed()[0] == 1012
            closing = client.receive("closing")
            assert closing["reason"]
            assert closing["reconnect_after_ms"] >= 0
        assert "Traceback" not in server.log_text()


def test_an_idle_server_stops_at_once():
    with running_server() as server:
        code, seconds = server.terminate()
        assert code == 0
        assert seconds < 8


def test_a_client_that_never_answers_the_close_does_not_hold_the_server_up():
    with (
        running_server() as server,
        RawSocket(server.port) as silent,
        RawHttp(server.port) as half_a_request,
    ):
        half_a_request.send(b"POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        code, seconds = server.terminate()
        assert code == 0
        assert seconds < 10
        assert silent.close_code() == 1012


def test_sigterm_under_load_loses_nothing_that_was_acked():
    with running_server(**SQLITE) as server:
        api = Api(server.url)
        api.create_topic("t")
        acked: list[tuple[int, str]] = []

        def publish(prefix):
            try:
                for number in range(100_000):
                    answer = api.post(
                        "/api/publish", {"topic": "t", "payload": f"{prefix}-{number}"}
                    )
                    if answer.status != 200:
                        assert answer.status == 503
                        return
                    acked.append((answer.json["seq"], f"{prefix}-{number}"))
            except (OSError, HTTPException):
                return  # the outcome is unknown, so it is not counted as acked

        threads = [threading.Thread(target=publish, args=(each,)) for each in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(acked) > 200)
        code, _ = server.terminate()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert code == 0
        server.start()
        stored = {}
        following = 1
        while following:
            page = accepted(api.get("/api/topics/t/messages", from_seq=following, limit=1000))
            stored |= {each["seq"]: each["payload"] for each in page["messages"]}
            following = page["next"]
        assert [stored.get(seq) for seq, _ in acked] == [value for _, value in acked]
        assert sorted(stored) == list(range(1, len(stored) + 1))


@pytest.mark.parametrize("stop", ["terminate", "kill"])
def test_a_restart_keeps_topics_messages_positions_attempts_and_dead_letters(stop):
    with running_server(**SQLITE) as server:
        api = Api(server.url)
        epoch = api.create_topic("t", max_messages=1000)["epoch"]
        with WsClient(server.ws_url) as ws:
            ws.subscribe("t", subscription="s", ack_wait_ms=60_000, max_attempts=4)
            api.publish_many("t", ["acked", "rejected", "nacked", "held", "acked too"])
            acked, rejected, nacked, _, acked_too = ws.messages(5)
            ws.ack(acked)
            ws.ack(acked_too)
            ws.request("reject", message_id=rejected["message_id"], reason="bad")
            ws.request("nack", message_id=nacked["message_id"], delay_ms=0)
            again = ws.receive("message")
            ws.request("nack", message_id=again["message_id"], delay_ms=60_000)
            key = api.publish("t", "keyed", idempotency_key="k")
            getattr(server, stop)()
        server.start()

        topic = api.topic("t")
        assert (topic["epoch"], topic["last_seq"], topic["message_count"]) == (epoch, 6, 6)
        assert topic["retention"]["max_messages"] == 1000
        assert len(api.browse("t")) == 6
        assert [dead["reason"] for dead in api.dead_letters()] == ["bad"]
        repeated = api.publish("t", "keyed", idempotency_key="k")
        assert (repeated["duplicate"], repeated["seq"]) == (True, key["seq"])
        other = {"topic": "t", "payload": "other", "idempotency_key": "k"}
        assert api.post("/api/publish", other).json["code"] == "idempotency_conflict"
        view = api.subscription("s")
        settings = {**view, **view.get("settings", {})}
        assert (settings["ack_wait_ms"], settings["max_attempts"]) == (60_000, 4)
        with WsClient(server.ws_url) as ws:
            ws.subscribe("t", subscription="s")
            frames = {frame["payload"]: frame for frame in ws.messages(2)}
            assert frames.keys() == {"held", "keyed"}
            with_delay = view["pending_retry_count"]
            assert with_delay >= 1, "the nacked one still waits for its delay"
        found = api.get(f"/api/messages/{nacked['message_id']}").json["deliveries"]
        assert [each["attempts"] for each in found] == [2]


@pytest.mark.parametrize("stop", ["terminate", "kill"])
def test_an_attempt_that_failed_before_the_restart_is_counted_after_it(stop):
    with running_server(**SQLITE) as server:
        api = Api(server.url)
        with WsClient(server.ws_url) as ws:
            ws.subscribe("t", subscription="s", ack_wait_ms=60_000, max_attempts=3)
            api.publish("t", 1)
            for attempt in (1, 2):
                frame = ws.receive("message")
                assert frame["attempt"] == attempt
                ws.request(
                    "nack", message_id=frame["message_id"], delay_ms=0 if attempt == 1 else 300
                )
            getattr(server, stop)()
        server.start()
        with WsClient(server.ws_url) as ws:
            ws.subscribe("t", subscription="s")
            assert ws.receive("message")["attempt"] == 3


def test_a_confirmed_ack_is_never_delivered_again_after_sigkill():
    with running_server(**SQLITE) as server:
        api = Api(server.url)
        for round_ in range(3):
            with WsClient(server.ws_url) as ws:
                ws.subscribe("t", subscription="s", ack_wait_ms=60_000)
                api.publish_many("t", [f"{round_}-{number}" for number in range(20)])
                frames = ws.messages(20)
                assert {frame["payload"].split("-")[0] for frame in frames} == {str(round_)}
                assert ws.request("ack", message_ids=[frame["message_id"] for frame in frames])
                server.kill()
            server.start()
        with WsClient(server.ws_url) as ws:
            ws.subscribe("t", subscription="s")
            ws.nothing(0.3, "message")


def test_an_ephemeral_client_resumes_across_a_restart():
    with running_server(**SQLITE) as server:
        api = Api(server.url)
        with WsClient(server.ws_url) as ws:
            epoch = ws.subscribe("t")["epoch"]
            api.publish_many("t", [1, 2, 3])
            seen = ws.messages(2)
            server.kill()
        server.start()
        api.publish("t", 4)
        with WsClient(server.ws_url) as ws:
            resumed = ws.subscribe("t", start={"seq": seen[-1]["seq"] + 1, "epoch": epoch})
            assert resumed["recovered"] is True
            assert payloads(seen + ws.messages(2)) == [1, 2, 3, 4]


def test_a_position_from_a_lost_memory_log_is_answered_with_a_gap():
    with running_server() as server:
        api = Api(server.url)
        with WsClient(server.ws_url) as ws:
            epoch = ws.subscribe("t")["epoch"]
            api.publish_many("t", [1, 2, 3])
            server.kill()
        server.start()
        with WsClient(server.ws_url) as ws:
            confirmed = ws.subscribe("t", start={"seq": 4, "epoch": epoch})
            assert confirmed["recovered"] is False
            assert ws.receive("gap")["reason"] in ("epoch_changed", "log_lost")


def test_a_second_server_on_the_same_file_does_not_start_and_harms_nothing(tmp_path):
    database = {"DATABASE_URL": f"sqlite:///{tmp_path}/shared.db"}
    with running_server(**database) as server:
        api = Api(server.url)
        api.create_topic("t")
        with pytest.raises(ServerError, match="exited with"), running_server(**database):
            pass
        assert [api.publish("t", number)["seq"] for number in range(3)] == [1, 2, 3]


def test_a_full_disk_is_answered_with_503_and_nothing_is_acked_that_is_not_stored():
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    # The limit holds for the log file too, so the server says little.
    with running_server(preexec=small_files, CONDUIT_LOG_LEVEL="error", **SQLITE) as server:
        api = Api(server.url)
        api.create_topic("t")
        acked = []
        for number in range(100):
            answer = api.post("/api/publish", {"topic": "t", "payload": f"{number}" + "x" * 50_000})
            if answer.status != 200:
                break
            acked.append(answer.json["seq"])
        assert (answer.status, answer.code) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert api.get("/health").status in (200, 503)
        server.kill()
        server.preexec = None
        server.start()
        assert [message["seq"] for message in api.browse("t")][: len(acked)] == acked
        assert api.publish("t", "room again")["seq"] >= len(acked) + 1


def test_a_log_that_nobody_takes_stops_neither_the_server_nor_its_end():
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write_end, b"x" * 4096)
    os.set_blocking(write_end, True)
    try:
        with running_server(preexec=lambda: os.dup2(write_end, 2) and None) as server:
            Api(server.url).create_topic("t")
            server.send_signal(signal.SIGTERM)
            code, seconds = server.wait()
            assert (code, seconds < 10) == (0, True)
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_client_that_does_not_read_its_answers_is_cut_and_that_is_no_error():
    with running_server() as server, RawHttp(server.port) as client:
        client.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        until(lambda: b'kind="answer"} 0.0' not in Api(server.url).get("/metrics").body)
        code, seconds = server.terminate()
        assert (code, seconds < 10) == (0, True)
        server.logged("connections cut that had not sent or read all in time: 1")
        assert '"level": "error"' not in server.log_text()


HANGING = """
import signal, time
from conduit.cli.main import main
# What hangs is the thread of the loop.
signal.signal(signal.SIGUSR1, lambda *_: (print("hangs", flush=True), time.sleep(600)))
main()
"""


def test_a_loop_that_hangs_does_not_keep_the_process_from_ending():
    port = free_port()
    environment = clean_environment(
        PORT=str(port), CONDUIT_HOST="127.0.0.1", CONDUIT_SHUTDOWN_TIMEOUT_S="1"
    )
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, "serve"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert b"gone when" in process.stderr.readline()
            until(lambda: b"listens on" in process.stderr.readline())
            process.send_signal(signal.SIGUSR1)
            assert process.stdout.readline() == b"hangs\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 1
            assert b"did not stop within CONDUIT_SHUTDOWN_TIMEOUT_S" in process.stderr.read()
        finally:
            process.kill()
