"""What nodes tell each other of their settings."""

import pytest

from conduit.environment import load_settings
from conduit.server.alike import alike

SECRET = "a-secret-of-all-nodes"
REDIS = "redis://user:pass-word@redis:6379"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, {"ENABLE_AUTH": "false", "REDIS_URL": "not set"}),
        ({"ENABLE_AUTH": "true"}, {"ENABLE_AUTH": "true", "REDIS_URL": "not set"}),
        ({"REDIS_URL": REDIS}, {"ENABLE_AUTH": "false", "REDIS_URL": "database 0"}),
        ({"REDIS_URL": f"{REDIS}/7"}, {"ENABLE_AUTH": "false", "REDIS_URL": "database 7"}),
    ],
)
def test_they_say_what_differs_and_nothing_that_is_secret(given, said):
    assert alike(load_settings(given | {"INTERNAL_SECRET": SECRET})) == said
