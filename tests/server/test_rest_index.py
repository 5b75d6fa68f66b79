import re

import pytest

from conduit import __version__
from tests.server.rest_kit import Api, refused, running_api
from tests.server.test_rest_document import GUIDE


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


async def test_the_root_says_what_this_is_and_every_path_that_it_names_is_there(api: Api):
    index = await api.get("/")
    assert (index["name"], index["version"]) == ("Conduit", __version__)
    paths = {key: value for key, value in index.items() if value.startswith("/")}
    assert paths.keys() == {
        *("dashboard", "docs", "openapi", "publish", "websocket"),
        *("health", "ready", "metrics"),
    }
    for path in paths.values():
        assert (await api.send("GET", path)).status_code != 404


async def test_a_person_can_read_it(api: Api):
    answer = await api.send("GET", "/", headers={"accept": "*/*"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Accept"
    assert len(answer.text.splitlines()) > 8


async def test_it_takes_a_get_and_nothing_else(api: Api):
    answer = await api.send("POST", "/", json={})
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_the_guide_shows_it_as_it_is(api: Api):
    text = (await api.send("GET", "/")).text
    shown = re.search(r"\$ curl -s localhost:8080\n(\{.*?\n\}\n)", GUIDE.read_text(), re.DOTALL)
    assert shown is not None
    assert shown[1].replace("0.1.0", __version__) == text
