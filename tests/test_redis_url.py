"""`REDIS_URL`: what it may be, and what of it is shown."""

import pytest

from conduit import redis_url

SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://localhost", "localhost:6379"),
        ("redis://localhost/", "localhost:6379"),
        ("redis://host:6380/2", "host:6380/2"),
        (f"redis://:{SECRET}@host:6380/2", "host:6380/2"),
        (f"redis://user:{SECRET}@host", "host:6379"),
        ("redis://[::1]:6380/0", "[::1]:6380/0"),
        ("redis://[::1]", "[::1]:6379"),
        (f"rediss://user:{SECRET}@host/0?ssl_ca_certs=/etc/ca.crt", "host:6379/0"),
        (f"rediss://host?ssl_certfile=c&ssl_keyfile=k&ssl_password={SECRET}", "host:6379"),
        ("rediss://host?ssl_check_hostname=false&ssl_cert_reqs=required", "host:6379"),
        ("unix:///run/redis/redis.sock", "/run/redis/redis.sock"),
        (f"unix://:{SECRET}@/run/redis.sock?db=3", "/run/redis.sock"),
    ],
)
def test_a_url_is_taken_and_where_it_leads_is_shown_without_a_secret(url, place):
    redis_url.check(url)
    assert redis_url.place(url) == place
    assert SECRET not in redis_url.place(url)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "host",
        "http://host",
        "redis+sentinel://host",
        "redis://",
        "redis://:6379",
        "redis://host:0",
        "redis://host:65536",
        "redis://host:port",
        "redis://host/name",
        "redis://host/0/1",
        "redis://host/0#x",
        "redis://one:1,two:2/0",
        "redis://one redis://two",
        f"redis://{SECRET}@host",
        f"redis://user:{SECRET}/x@host",
        f"redis://user:{SECRET}@x@host",
        f"redis://user:{SECRET}#x@host",
        f"redis://host?password={SECRET}",
        "redis://host?socket_timeout=60",
        "redis://host?ssl_ca_certs=/x",
        "rediss://host?ssl_cert_reqs=maybe",
        "rediss://host?ssl_check_hostname=1",
        "rediss://host?ssl_ca_certs=",
        "rediss://host?ssl_ciphers=x",
        "unix://relative/path",
        "unix:///run/redis.sock?db=x",
        "unix:///",
        "",
    ],
)
def test_any_other_is_refused_without_a_word_of_it(url):
    with pytest.raises(ValueError, match=r"^(must|has|may) ") as refused:
        redis_url.check(url)
    assert SECRET not in str(refused.value)


def test_its_passwords_are_known_as_they_stand_and_as_they_are_meant():
    url = f"rediss://user:p%40ss@host/0?ssl_password={SECRET}"
    assert set(redis_url.passwords(url)) == {"p%40ss", "p@ss", SECRET}
    assert redis_url.passwords("redis://host/0") == []
    assert redis_url.passwords("redis://[host") == []


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("redis://host", 0),
        ("redis://host:1/", 0),
        ("rediss://u:p@host/12?ssl_cert_reqs=none", 12),
        ("unix:///run/redis.sock", 0),
        ("unix:///run/redis.sock?db=3", 3),
    ],
)
def test_its_database_has_a_number(url, number):
    redis_url.check(url)
    assert redis_url.database(url) == number
