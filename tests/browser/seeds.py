"""What is there before a page is opened: dead letters, made as they come about."""

from __future__ import annotations

from tests.support.http import Api
from tests.support.server import RunningServer
from tests.support.wait import until
from tests.support.ws import WsClient

# No number of JavaScript is this one.
HUGE = 9007199254740993
REASON = "no funds"


def rejected(server: RunningServer, subscription: str, topic: str, count: int) -> list[str]:
    """So many messages of the topic die on the subscription, which is made if need be; the ids of all dead
    letters of it, the newest first."""
    with WsClient(server.ws_url) as client:
        return given_up(Api(server.url), client, subscription, topic, count)


def given_up(api: Api, client: WsClient, subscription: str, topic: str, count: int) -> list[str]:
    """The same, by a subscriber that may have signed in, at any node."""
    client.subscribe(topic, subscription=subscription)
    api.publish_many(topic, [{"order": HUGE, "n": number} for number in range(count)])
    for message in client.messages(count):
        client.request("reject", message_id=message["message_id"], reason=REASON)
    until(lambda: api.subscription(subscription)["dead_count"] >= count)
    return [letter["id"] for letter in api.dead_letters(subscription=subscription)]
