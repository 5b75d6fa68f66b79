"""The trap for secrets bites: pytest runs tests that leak some, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.server import clean_environment

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent

CONFTEST = """
from tests.support.trap import Trap


def pytest_configure(config):
    config.addinivalue_line("markers", "leaks: why")
    trap = Trap()
    trap.install()
    config.pluginmanager.register(trap)
"""

# Each leaks what its name says; those whose name begins with `fine` leak nothing.
PLANTED = r"""
import logging
import os
import subprocess
import sys

import pytest

from conduit import redaction
from tests.support import secrets
from tests.support.server import running_server

SECRET = "0123456789" "abcdefghijklmnopqrstuvWXYZ12"
KEY = "_".join(("ck", "live", "Ab3dEf7h", SECRET))
TOKEN = ".".join(("eyJ" + "a" * 20, "eyJ" + "b" * 20, "c" * 20))
log = logging.getLogger("planted")


def test_key_in_a_log_line():
    log.warning("signed in with %s", KEY)


def test_token_in_arguments_that_do_not_fit():
    logging.raiseExceptions = False
    log.warning("%d", TOKEN)


def test_key_in_a_field():
    log.warning("signed in", extra={"with": {"key": KEY}})


def test_key_in_the_cause_of_an_error():
    try:
        try:
            raise ValueError(KEY)
        except ValueError as error:
            raise TypeError("failed") from error
    except TypeError:
        log.exception("failed")


def test_header_in_a_log_line():
    log.warning("headers: %r", {"authorization": "Bearer " + "abcdefgh"})


def test_password_in_a_log_line():
    log.warning("postgresql://user:%s@host/d", "s3cr3t")


def test_ticket_on_stdout():
    print("GET /ws?ticket=" + "abcd")


def test_key_on_stderr_below_python():
    os.write(2, KEY.encode() + b"\n")


def test_key_on_stderr_that_a_test_reads(capfd):
    sys.stderr.write(KEY)
    assert capfd.readouterr().err


def test_key_on_stderr_of_a_command():
    subprocess.run([sys.executable, "-c", f"import sys; sys.exit('{KEY}')"], capture_output=True)


def test_registered_secret():
    secrets.register("correct horse battery")
    log.warning("it is %r", "correct horse battery")


def test_secret_part_of_an_issued_key():
    secrets.register_issued(b'{"key": "%b"}' % KEY.encode())
    log.warning("it ends with %s", SECRET[8:] and SECRET)


def test_secret_that_the_process_knows():
    redaction.know("another horse battery")
    log.warning("it is another horse battery")
    redaction.forget()


def test_setting_of_a_server():
    secrets.register_settings({"DATABASE_URL": "postgresql://u:pass-of-planted@h/d"})
    log.warning("pass-of-planted")


@pytest.fixture
def ending():
    yield
    log.warning(KEY)


def test_key_while_a_fixture_ends(ending):
    pass


@pytest.fixture(scope="module")
def server():
    with running_server(CONDUIT_LOG_LEVEL="error") as server:
        yield server


def test_key_in_the_log_of_a_server_that_runs(server):
    with server.log.open("a") as file:
        file.write(f"it is {KEY}\n")


def test_key_in_the_last_line_of_a_server():
    with running_server(CONDUIT_LOG_LEVEL="error") as server, server.log.open("a") as file:
        file.write(f"it is {KEY}")


def test_fine_beside_a_server_whose_log_had_one_before(server):
    assert server.alive


def test_fine_where_it_is_masked():
    log.warning("%s, postgresql://user:…@host/d", redaction.redacted(KEY))


def test_fine_in_a_variable():
    key = KEY
    try:
        raise ValueError(len(key))
    except ValueError:
        log.exception("the documentation has postgresql://user:password@host/d")


@pytest.mark.leaks("to be seen")
def test_fine_since_it_is_meant():
    log.warning(KEY)
"""


def outcomes(folder: Path, *options: str) -> dict[str, str]:
    """The planted tests, with what the trap said of each; empty for those that passed."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_planted.py").write_text(PLANTED)
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "--rootdir", str(folder), "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-p", "no:randomly", f"--junitxml={report}", *options, str(folder)],
        cwd=folder,
        env={**clean_environment(), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=170,
    )
    assert report.exists(), done.stdout
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        ends = [each for each in case if each.tag in ("failure", "error")]
        told = "\n".join(each.text or each.get("message") or "" for each in ends)
        found[case.attrib["name"]] = f"{found.get(case.attrib['name'], '')}{told}"
    return found


@pytest.mark.parametrize("options", [[], ["-n", "2"]], ids=["alone", "with xdist"])
def test_who_leaks_a_secret_fails_and_nobody_else(tmp_path: Path, options: list[str]) -> None:
    found = outcomes(tmp_path, *options)
    assert len(found) == PLANTED.count("def test_")
    missed = [name for name, told in found.items() if "fine" not in name and not told]
    wrong = {name: told for name, told in found.items() if "fine" in name and told}
    if options:
        # The test that ran beside it may have been asked first.
        wrong.pop("test_fine_beside_a_server_whose_log_had_one_before", None)
    assert (missed, wrong) == ([], {})
    assert all("secrets were shown in" in each for each in found.values() if each)
    # The report does not leak them once more.
    report = (tmp_path / "report.xml").read_text()
    assert "WXYZ12" not in report
    assert "pass-of-planted" not in report


def test_a_leak_ends_what_is_not_run_by_pytest(tmp_path: Path) -> None:
    check = f"""
from pathlib import Path
from tests.support import secrets
log = Path({str(tmp_path / "server.log")!r})
secrets.watch(log)
log.write_text("x-api-key: " + "abcdefgh")
secrets.unwatch(log)
"""
    done = subprocess.run(
        [sys.executable, "-c", check],
        env={**clean_environment(), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 1
    assert "Leak: " in done.stdout
    assert "a header" in done.stdout
