"""The SQL of the stores as it stands in their files, and what of it names a table with a column `tenant`
without saying of which tenant.

It is no parser: it knows the few forms in which the stores write SQL, and takes what it does not understand
for a statement without the tenant.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import apsw

import conduit.storage

ROOT = Path(conduit.storage.__file__).parent
# What stands for a part that is not known before it runs.
UNKNOWN = "{}"


class Statement(NamedTuple):
    """A text with SQL, and where it stands: `postgres/topics.py _CREATE`, with the name of a constant, a
    function or a trigger."""

    place: str
    sql: str


# Where they are ----------------------------------------------------------------------------------


def tenant_tables(store: str) -> set[str]:
    """The tables of the newest schema that have a column `tenant`."""
    found = set[str]()
    for text in _schema(store):
        text = _plain(text)
        for table, columns in re.findall(r"CREATE TABLE ([\w.]+) \((.*?)\n\)", text, re.DOTALL):
            if re.search(r"^\s*tenant\b", columns, re.MULTILINE):
                found.add(table.removeprefix("conduit."))
        found -= set(re.findall(r"DROP TABLE (?:conduit\.)?(\w+)", text))
    return found


def statements(store: str) -> Iterator[Statement]:
    """All that runs in the database: of the Python files, of triggers and of functions. Migrations are not
    among them, which run once and for all."""
    for path in sorted((ROOT / store).glob("*.py")):
        module = vars(import_module(f"conduit.storage.{store}.{path.stem}"))
        for name, text in of_source(path.read_text(), module):
            yield Statement(f"{store}/{path.name} {name}", text)
    for name, text in _triggers() if store == "sqlite" else _functions():
        yield Statement(f"{store}/schema {name}", text)


def _schema(store: str) -> list[str]:
    return [path.read_text() for path in sorted((ROOT / store / "schema").glob("*.sql"))]


def _triggers() -> Iterator[tuple[str, str]]:
    connection = apsw.Connection(":memory:")
    for text in _schema("sqlite"):
        connection.execute(text)
    yield from connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")


def _functions() -> Iterator[tuple[str, str]]:
    found = dict[str, str]()
    for text in _schema("postgres"):
        found |= re.findall(r"FUNCTION conduit\.(\w+).*?\$\$(.*?)\$\$", text, re.DOTALL)
    yield from found.items()


def of_source(source: str, module: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The texts of a file by name. Of what is put together at its top, the whole; in functions, with what is
    known there."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for target in ast.walk(node):
                if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                    yield from ((target.id, text) for text in _texts(module.get(target.id)))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _of_function(node.name, node, module)


def _texts(value: object) -> Iterator[str]:
    """Of a constant: a text, several of them, or an object that is made of some."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.values()])
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif hasattr(value, "_sql"):
        yield from _texts(value._sql)


def _of_function(
    name: str, node: ast.AST, known: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        name = node.name
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield name, node.value
    elif isinstance(node, ast.JoinedStr):
        yield name, "".join(_part(part, known) for part in node.values)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _of_function(name, child, known)


def _part(node: ast.AST, known: Mapping[str, object]) -> str:
    if isinstance(node, ast.FormattedValue):
        value = known.get(node.value.id) if isinstance(node.value, ast.Name) else None
        return value if isinstance(value, str) else UNKNOWN
    assert isinstance(node, ast.Constant)
    return str(node.value)


# What they say -----------------------------------------------------------------------------------

_KEYWORDS = (
    "AS AND BEGIN CROSS DEFAULT EXCEPT FOR FROM GROUP HAVING INNER JOIN LEFT LIMIT OFFSET ON OR ORDER"
    " RETURNING SELECT SET UNION USING VALUES WHEN WHERE WINDOW"
)
_REFERENCE = re.compile(
    r"\b(?P<verb>FROM|JOIN|UPDATE|INTO|USING)\s+(?:ONLY\s+)?(?:conduit\.)?(?P<table>\w+)"
    rf"(?:\s+(?:AS\s+)?(?!(?:{'|'.join(_KEYWORDS.split())})\b)(?P<alias>\w+))?"
)
_QUERY = re.compile(r"\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE)\b")
_PARTS = re.compile(r"\b(?:UNION(?:\s+ALL)?|EXCEPT|INTERSECT)\b|;")
_ASSIGNMENTS = re.compile(r"\bSET\b.*?(?=\bFROM\b|\bWHERE\b|\bRETURNING\b|$)", re.DOTALL)
_CONFLICT = re.compile(r"\bON CONFLICT\s*\((?P<key>[^)]*)\)\s*DO UPDATE\b")
_COLUMNS = re.compile(r"\bINTO\s+[\w.]+(?:\s+AS\s+\w+)?\s*\((?P<columns>[^)]*)\)")


def without_tenant(sql: str, tables: set[str]) -> list[str]:
    """The tables among these that the text names without saying of which tenant, one for each time."""
    found = []
    for query in _queries(_plain(sql)):
        named = [ref for ref in _REFERENCE.finditer(query) if ref["table"] in tables]
        for ref in named:
            if ref["verb"] == "INTO":
                is_told = _inserts_tenant(query)
            else:
                is_told = _compares_tenant(
                    query, ref["alias"] or ref["table"], alone=len(named) == 1
                )
            if not is_told:
                found.append(ref["table"])
    return found


def _plain(sql: str) -> str:
    """Without comments and literals."""
    return re.sub(r"--[^\n]*|'[^']*'", "", sql)


def _queries(sql: str) -> Iterator[str]:
    """Each query by itself: those in parentheses are taken out of those around them."""
    outer, start, depth = "", 0, 0
    for place, character in enumerate(sql):
        if character == "(":
            if not depth:
                outer, start = outer + sql[start:place], place + 1
            depth += 1
        elif character == ")" and depth:
            depth -= 1
            if not depth:
                inner, start = sql[start:place], place + 1
                inner_outer = list(_queries(inner))
                if _QUERY.match(inner):
                    yield from inner_outer
                    outer += "()"
                else:
                    # What was in parentheses only: the rest of it belongs to what is around.
                    outer += f"({inner_outer[-1]})"
                    yield from inner_outer[:-1]
    outer += sql[start:]
    *parts, last = _PARTS.split(outer)
    yield from parts
    yield last


def _inserts_tenant(query: str) -> bool:
    """Whether a row that is inserted says whose it is, and one that is there instead is the tenant's."""
    columns, conflict = _COLUMNS.search(query), _CONFLICT.search(query)
    # Without a list they are all given.
    return all(
        re.search(r"\btenant\b", names)
        for names in (
            columns["columns"] if columns else "tenant",
            conflict["key"] if conflict else "tenant",
        )
    )


def _compares_tenant(query: str, name: str, *, alone: bool) -> bool:
    column = rf"(?:\b{name}\.)tenant"
    if alone:
        column = rf"(?:(?<![\w.:])|\b{name}\.)tenant"
    conditions = _ASSIGNMENTS.sub(" ", query)
    return bool(
        re.search(rf"{column}\s*=(?!\s*{column}\b)", conditions)
        or re.search(rf"[\w.]*\w\s*=\s*\b{name}\.tenant\b", conditions)
    )
