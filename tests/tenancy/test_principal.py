import pytest

from conduit.errors import Forbidden, Unauthenticated, Unavailable
from conduit.grants import Grant
from conduit.tenancy.principal import Nobody, Principal, make_anyone


def principal(*grants: Grant, **parts: object) -> Principal:
    return Principal("acme", "key:x", grants, **parts)


def test_who_has_a_whole_right_is_not_asked_for_topics():
    anyone = principal(Grant(scope="publish"))
    assert not anyone.is_bounded
    assert anyone.may("publish", "a.b")
    assert anyone.may("publish", ">")
    assert anyone.is_whole("publish")
    assert not anyone.may("subscribe")
    with pytest.raises(Forbidden):
        anyone.check(("subscribe", "manage"))


def test_a_right_for_patterns_is_for_their_topics():
    some = principal(Grant(scope="publish", topics=("orders.*", "one")), Grant(scope="subscribe"))
    assert some.is_bounded
    some.check_publish("orders.a", 0)
    some.check_publish("one", 0)
    for topic in ("orders", "orders.a.b", "two", ""):
        with pytest.raises(Forbidden, match="right to publish for"):
            some.check_publish(topic, 0)
    assert some.may("publish", "orders.*")
    assert not some.may("publish", "orders.>")
    assert not some.is_whole("publish")


def test_an_operator_may_do_everything():
    admin = principal(Grant(scope="admin"))
    for scope in ("publish", "subscribe", "manage", "admin"):
        assert admin.is_whole(scope)
    assert admin.may_subscribe(">", "billing")


def test_a_manager_is_no_operator_and_no_publisher():
    manager = principal(Grant(scope="manage"))
    assert not any(manager.may(scope) for scope in ("publish", "subscribe", "admin"))


def test_one_grant_gives_both_the_topic_and_the_subscription():
    some = principal(
        Grant(scope="subscribe", topics=("a.>",), subscriptions=("web.*",)),
        Grant(scope="subscribe", topics=("b",)),
    )
    assert some.may_subscribe("a.x", None)
    assert some.may_subscribe("a.x", "web.1")
    assert not some.may_subscribe("a.x", "billing")
    assert some.may_subscribe("b", "billing")
    assert not some.may_subscribe("b", "web.1") or some.may_subscribe("b", "web.1")
    assert not some.may_subscribe("c", None)
    with pytest.raises(Forbidden, match="billing"):
        some.check_subscribe("a.x", "billing")


def test_a_token_uses_only_subscriptions_that_it_names():
    grants = Grant(scope="subscribe"), Grant(scope="subscribe", subscriptions=("web.1",))
    token = principal(*grants, is_token=True)
    assert token.may_subscribe("a", None)
    assert token.may_subscribe("a", "web.1")
    assert not token.may_subscribe("a", "billing")


def test_what_has_ended_publishes_nothing():
    token = principal(Grant(scope="publish"), expires_at_ms=1_000)
    assert token.is_bounded
    token.check_publish("a", 999)
    with pytest.raises(Unauthenticated):
        token.check_publish("a", 1_000)
    key = principal(Grant(scope="publish"))
    key.end()
    assert key.is_bounded
    with pytest.raises(Unauthenticated):
        key.check_publish("a", 0)


def test_nobody_may_do_nothing_and_hears_why():
    with pytest.raises(Unauthenticated):
        Nobody().check_publish("a", 0)
    with pytest.raises(Unauthenticated):
        Nobody().check(("publish",))
    later = Unavailable("later")
    nobody = Nobody(later)
    assert nobody.is_refused
    told = nobody.refusal(())
    assert (type(told), told.detail) == (Unavailable, "later")
    # Each has its own: one that was raised holds the frames that it came through.
    assert told is not later
    assert nobody.refusal(()) is not told
    assert Nobody().refusal(()) is not Nobody().refusal(())


def test_without_authentication_everybody_is_the_default_tenants_and_no_operator():
    anyone = make_anyone()
    assert (anyone.tenant, anyone.is_bounded) == ("default", False)
    assert anyone.is_whole("publish")
    assert anyone.is_whole("subscribe")
    assert anyone.is_whole("manage")
    assert not anyone.may("admin")
