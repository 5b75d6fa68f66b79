"""Each statement of the SQL stores that is about a tenant says which; those that are not are listed here."""

from __future__ import annotations

import pytest

from tests.storage.statements import of_source, statements, tenant_tables, without_tenant

STORES = ("sqlite", "postgres")

# What names a tenant's table without the tenant: why, and where. A name is a constant, a function or a
# trigger. Whoever adds to this has to know that no client's word decides which rows it is.
ACROSS = {
    "A topic's id is given once, to one tenant; the broker knows it from that tenant's topics.": """
        sqlite/former.py: _ADD
        sqlite/housekeeping.py: _EXTENT _TRIM
        sqlite/log.py: update_topic delete_topic
        sqlite/reads.py: _extents _topics_of _READ _read_up _read_down _seqs_at _last_stamps
        sqlite/schema: append_message
        postgres/batch.py: _APPEND
        postgres/housekeeping.py: _EXTENT _TRIM
        postgres/reads.py: _EXTENTS_OF _TOPICS_OF _PAGE _MESSAGES _LAST_STAMPS _SEQS_AT
        postgres/topics.py: _EXISTS _SOME _UPDATE _DELETE _LOCK
        """,
    "As a topic's id, so a subscription's; its row then says which tenant's topics it may follow.": """
        sqlite/begins.py: _PUT
        sqlite/dead_letters.py: _ARE_BACK
        sqlite/former.py: _of
        sqlite/subscriptions.py: _IS_THERE _ROWS_IN _ROWS _ROWS_OF _progress _progress_of _progress_in _open
        sqlite/subscriptions.py: _records_of _PASSED _PUT is_there update delete
        postgres/former.py: _LOCK
        postgres/subscriptions.py: _PUT _PUT_ROWS _PUT_ALL _ROWS _PROGRESS _PROGRESS_OF _PASSED
        postgres/subscriptions.py: _SOME _MOVE _ARE_BACK _UPDATE _DELETE
        postgres/schema: claim_subscription
        postgres/owners.py: _FENCES
        """,
    "A delivery is named by its topic's id; so is the dead letter that it becomes, or is.": """
        sqlite/dead_letters.py: _MARK _LOST _OF _FATES
        sqlite/schema: bury_death
        postgres/dead_letters.py: _PUT _MARK _OF _FATES
        """,
    "A start reads what there is of all tenants.": """
        sqlite/log.py: learn
        sqlite/reads.py: _TOPICS topics _KEY_COUNTS
        sqlite/subscriptions.py: _ALL all_records
        postgres/keys.py: _KEY_COUNTS
        postgres/reads.py: _TOPICS _FIRST_SEQS
        postgres/subscriptions.py: _ALL
        postgres/topics.py: ids
        """,
    "What a node has, it has of all tenants.": """
        postgres/owners.py: _OWNED _RELEASE _KEPT
        """,
    "It is about the database as a whole: which it is, whether it is a copy, whether it is whole.": """
        sqlite/check.py: _RULES _MESSAGES
        sqlite/database.py: _RENEW
        sqlite/mark.py: _LAST_SEQ
        postgres/arrangement.py: _HAS_TOPICS _NUMBERS
        postgres/copies.py: _RENEW
        postgres/writer.py: _FENCE
        """,
    "Housekeeping removes what is too old or too much, whosever it is.": """
        sqlite/audit.py: _TRIM
        sqlite/dead_removal.py: _TENANTS _OLD _CROWDED _ALL_THAT_IS_LEFT _PARTS _REMEMBER _REMOVE
        sqlite/tenants.py: _FORGET_KEYS _FORGET_TENANTS
        postgres/audit.py: _TRIM
        postgres/dead_removal.py: _TENANTS _OLD _CROWDED _GOING _REMOVE _TIDY
        postgres/segments.py: _IS_NEEDED _GOES_SOON _UNNEEDED
        postgres/tenants.py: _FORGET_KEYS _FORGET_TENANTS
        """,
    "A server has the tenants and keys of all in memory, counts them, and notes which were used.": """
        sqlite/tenants.py: _CHANGED_TENANTS _CHANGED_KEYS _USED create
        postgres/tenants.py: _CHANGED_TENANTS _CHANGED_KEYS _USED create
        """,
    "Who administers the server may read the audit log of all tenants, and count what has died.": """
        sqlite/audit.py: _OF_ALL
        sqlite/dead_letters.py: _TENANTS
        postgres/audit.py: _OF_ALL
        postgres/dead_letters.py: _TENANTS
        """,
}


def listed() -> list[str]:
    return [
        f"{file.strip()} {name}"
        for places in ACROSS.values()
        for file, _, names in (line.partition(":") for line in places.split("\n") if line.strip())
        for name in names.split()
    ]


def found() -> set[str]:
    """The places of those that are without."""
    return {
        statement.place
        for store in STORES
        for statement in statements(store)
        if without_tenant(statement.sql, tenant_tables(store))
    }


def test_every_statement_about_a_tenant_says_which():
    assert sorted(found() - set(listed())) == []


def test_the_list_of_those_that_are_across_tenants_has_no_other():
    assert sorted(set(listed()) - found()) == []
    assert len(listed()) == len(set(listed()))


@pytest.mark.parametrize("store", STORES)
def test_the_tables_with_a_tenant_are_known(store):
    assert tenant_tables(store) == {
        *("tenants", "api_keys", "audit", "topics", "subscriptions", "dead_letters", "dead_tallies")
    }


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM topics WHERE name = ?",
        "SELECT * FROM conduit.topics AS t WHERE t.name = $1 AND EXISTS (SELECT FROM o WHERE tenant = $2)",
        "SELECT * FROM topics JOIN audit AS a USING (x) WHERE a.tenant = ?",
        "SELECT * FROM audit AS a, x JOIN topics AS t ON t.id = a.id WHERE tenant = ?",
        "SELECT * FROM topics WHERE tenant = tenant",
        "SELECT * FROM topics -- WHERE tenant = ?",
        "SELECT * FROM topics WHERE name = 'tenant = 1'",
        "SELECT * FROM topics WHERE tenant = ? UNION ALL SELECT * FROM topics",
        "WITH t AS (DELETE FROM conduit.topics RETURNING tenant) SELECT * FROM t WHERE tenant = $1",
        "SELECT (SELECT count(*) FROM topics) FROM x WHERE tenant = ?",
        "SELECT max((SELECT count(*) FROM topics)) FROM x WHERE tenant = ?",
        "UPDATE topics SET tenant = ?, name = ? WHERE topic_id = ?",
        "UPDATE topics SET name = ? FROM audit AS a WHERE a.tenant = ? AND topics.id = a.id",
        "DELETE FROM topics WHERE topic_id IN (SELECT topic_id FROM x WHERE tenant = ?)",
        "INSERT INTO topics (topic_id, name) VALUES (?, ?)",
        "INSERT INTO topics AS t (tenant, name) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET name = ''",
        "INSERT INTO x SELECT * FROM topics WHERE name = ?",
        "SELECT * FROM topics WHERE {} AND name = ?",
        "SELECT 1 FROM x; DELETE FROM topics; DELETE FROM y WHERE tenant = 1",
    ],
)
def test_a_statement_without_its_tenant_is_noticed(sql):
    assert without_tenant(sql, {"topics", "audit"}) != []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM topics WHERE (name = ? AND tenant = ?)",
        "SELECT * FROM conduit.topics AS t JOIN audit AS a ON a.tenant = t.tenant WHERE t.tenant = $1",
        "SELECT * FROM x JOIN topics AS t ON t.id = x.id AND x.tenant = t.tenant",
        "UPDATE topics SET name = ? WHERE tenant = ?",
        "INSERT INTO topics VALUES (?, ?)",
        "INSERT INTO topics (tenant, name) VALUES (?, ?) ON CONFLICT (tenant, name) DO UPDATE SET name = ?",
        "SELECT topics FROM messages",
    ],
)
def test_a_statement_with_its_tenant_is_none_of_these(sql):
    assert without_tenant(sql, {"topics", "audit"}) == []


def test_statements_are_found_wherever_they_stand_in_a_file():
    source = """
COLUMNS = "tenant, name"
_TOP = f"SELECT {COLUMNS} FROM topics"
_SEVERAL = {"a": ["DELETE FROM topics"]}
class Some:
    def method(self, where):
        def inner():
            return "UPDATE topics SET name = 1"
        return ask(f"SELECT {COLUMNS} FROM topics WHERE {where}")
"""
    module: dict[str, object] = {}
    exec(source, module)
    texts = [pair for pair in of_source(source, module) if "topics" in pair[1]]
    assert texts == [
        ("_TOP", "SELECT tenant, name FROM topics"),
        ("_SEVERAL", "DELETE FROM topics"),
        ("inner", "UPDATE topics SET name = 1"),
        ("method", "SELECT tenant, name FROM topics WHERE {}"),
    ]
