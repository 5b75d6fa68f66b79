"""The lists that these tests have to keep up with."""

import ast
import re
from pathlib import Path

import pytest

from conduit.protocol.codes import CODES

ROOT = Path(__file__).parents[2]
# What the tests of access go through.
TABLE = ROOT / "tests" / "support" / "operations.py"
PROMISE = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")

# Codes that no client can bring about from outside, and why.
NOT_FROM_OUTSIDE = {
    "overloaded": "needs a store that is slower than any publisher for thousands of requests",
    "internal": "would be a bug",
    "config": "ends the start; the exit code and the text are tested",
    "shutting_down": "a request that arrives between SIGTERM and the end: seen only by luck",
    "conflict": "the parent of the codes that say what conflicts",
}
# Codes that close a WebSocket connection are seen as the close code.
SEEN_AS_CLOSE = {"protocol_error", "unsupported_data", "invalid_utf8", "frame_too_large",
                 "topic_deleted", "slow_subscriber"}  # fmt: skip


def _strings_in_the_tests() -> set[str | int]:
    found: set[str | int] = set()
    for path in [TABLE, *Path(__file__).parent.glob("test_*.py")]:
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | int):
                found.add(node.value)
    return found


def test_every_error_code_is_met_over_a_socket():
    found = _strings_in_the_tests()
    assert CODES.keys() >= NOT_FROM_OUTSIDE.keys() | SEEN_AS_CLOSE
    for code in CODES.keys() - NOT_FROM_OUTSIDE.keys():
        wanted = CODES[code].close if code in SEEN_AS_CLOSE else code
        assert wanted in found, code


def test_every_promise_names_tests_that_exist():
    text = (ROOT / "docs" / "guarantees.md").read_text()
    for promise in text.split("\n## ")[1:8]:
        named = PROMISE.findall(promise)
        assert named, f"no test would falsify: {promise.splitlines()[0]}"
        for file, test in named:
            tree = ast.parse((ROOT / file).read_text())
            functions = ast.FunctionDef | ast.AsyncFunctionDef
            tests = {node.name for node in tree.body if isinstance(node, functions)}
            assert test in tests, f"{file} has no {test}"


@pytest.mark.parametrize("promise", range(1, 8))
def test_the_seven_promises_are_all_on_the_page(promise):
    assert f"\n## {promise}. " in (ROOT / "docs" / "guarantees.md").read_text()
