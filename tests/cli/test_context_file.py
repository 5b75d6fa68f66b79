from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from conduit.cli import context_file
from conduit.cli.context_file import Context, Contexts, changing, load
from conduit.errors import InvalidRequest, NotFound

KEPT = Context("https://prod.example", "secret-key", "acme")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def file() -> Path:
    """Where they are kept, with one in it."""
    add("prod", KEPT)
    return Path(context_file.place())


def add(name: str, context: Context) -> None:
    with changing() as contexts:
        contexts.put(name, context, replace=False)


def test_what_is_kept_is_there_again(file: Path) -> None:
    add("bare", Context("http://127.0.0.1:1"))
    with changing() as contexts:
        contexts.current = "prod"
    assert load() == Contexts({"prod": KEPT, "bare": Context("http://127.0.0.1:1")}, "prod")
    assert file.parent.name == "conduit"


def test_without_a_file_there_are_none() -> None:
    assert load() == Contexts()


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_file_and_folder_are_for_their_owner_alone(umask: int) -> None:
    before = os.umask(umask)
    try:
        add("prod", KEPT)
    finally:
        os.umask(before)
    file = Path(context_file.place())
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)


def test_it_is_written_beside_itself_for_its_owner_from_the_first_byte(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def replace(beside: str, path: str) -> None:
        seen.append((mode(Path(beside)), Path(beside).parent, path))
        raise OSError("no room")

    monkeypatch.setattr(os, "replace", replace)
    before = file.read_bytes()
    with pytest.raises(OSError, match="no room"):
        add("other", KEPT)
    assert seen == [(0o600, file.parent, str(file))]
    assert (file.read_bytes(), os.listdir(file.parent)) == (before, [file.name])


@pytest.mark.parametrize("wrong", [0o640, 0o604, 0o620, 0o644, 0o666, 0o610])
def test_one_that_others_can_read_or_write_is_not_used(file: Path, wrong: int) -> None:
    file.chmod(wrong)
    for work in (load, lambda: add("x", KEPT)):
        with pytest.raises(InvalidRequest) as raised:
            work()
        assert raised.value.code == "contexts_not_private"
        assert f"{wrong:04o}" in raised.value.detail
        assert "secret" not in raised.value.detail
    assert mode(file) == wrong


def test_one_of_another_user_is_not_used(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    with pytest.raises(InvalidRequest, match="another user"):
        load()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"contexts": []}',
        '{"contexts": {"a": "b"}}',
        '{"contexts": {"a": {"url": 1}}}',
        '{"contexts": {"a": {"url": "x", "of": "tomorrow"}}}',
        '{"contexts": {}, "current": 1}',
        "[" * 100_000,
    ],
)
def test_one_that_cannot_be_read_is_told(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidRequest) as raised:
        load()
    assert raised.value.code == "contexts_damaged"


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    file.rename(kept)
    file.symlink_to(kept)
    add("other", KEPT)
    assert file.is_symlink()
    assert sorted(json.loads(kept.read_text())["contexts"]) == ["other", "prod"]


def test_who_changes_it_at_once_does_not_lose_what_others_added() -> None:
    threads = [threading.Thread(target=add, args=(f"c{n}", KEPT)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load().by_name) == 12


def test_what_is_wrong_with_a_change_changes_nothing(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(NotFound), changing() as contexts:
        contexts.put("other", KEPT, replace=False) or contexts.get("nope")
    assert file.read_bytes() == before
