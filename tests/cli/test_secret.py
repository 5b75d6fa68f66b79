from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from conduit.cli import secret
from conduit.errors import InvalidRequest

KEY = "ck_live_abcd1234_0123456789abcdefghijklmnopqrstuv012345"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (KEY, "ck_live_abcd1234_…"),
        ("eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2ln-_", "a token"),
        ("any text of sixteen characters", "a key"),
        ("ck_live_short", "a key"),
    ],
)
def test_of_a_key_only_what_tells_it_apart_is_shown(text: str, shown: str) -> None:
    assert secret.masked(text) == shown


def test_a_line_is_read_and_no_more() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"key\nthe rest\n")
    os.close(writer)
    assert secret._line(reader) == b"key"
    assert os.read(reader, 100) == b"the rest\n"
    assert secret._line(reader) == b""
    os.close(reader)


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"a\nb\n", b"\xff\xfe", b"x" * (64 << 10) + b"y"]
)
def test_a_file_without_one_key_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(InvalidRequest) as raised:
        secret.from_file(str(file))
    assert raised.value.code == "invalid_api_key"
    assert "xxx" not in raised.value.detail


def test_blanks_around_it_are_not_part_of_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"  {KEY}\r\n")
    assert secret.from_file(str(file)) == KEY


def test_a_new_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for umask in (0o000, 0o777):
        before = os.umask(umask)
        try:
            with secret.new_file(str(file)) as fd:
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
                os.write(fd, b"x")
        finally:
            os.umask(before)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.unlink()


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("other")
    with pytest.raises(FileExistsError), secret.new_file(str(file)):
        pass
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError), secret.new_file(str(link)):
        pass
    assert file.read_text() == "other"


def test_of_work_that_fails_no_file_is_left(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(RuntimeError), secret.new_file(str(file)):
        raise RuntimeError
    assert not file.exists()
