import logging

from conduit.server.logs import configure_logging, flush_logs


def test_a_library_does_not_speak_of_every_request_that_it_makes(capfd):
    root, httpx2 = logging.getLogger(), logging.getLogger("httpx2")
    handlers, levels = root.handlers, (root.level, httpx2.level)
    try:
        configure_logging("debug", "json")
        httpx2.info("HTTP Request: GET https://id.example/jwks")
        logging.getLogger("conduit").info("spoken")
        flush_logs(60)
        written = capfd.readouterr().err
    finally:
        for handler in root.handlers:
            if handler not in handlers:
                handler.close()
        root.handlers = handlers
        root.setLevel(levels[0])
        httpx2.setLevel(levels[1])
    assert "spoken" in written
    assert "Request" not in written
