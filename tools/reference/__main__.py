"""Writes all of `docs/reference` that is made."""

from __future__ import annotations

from tools.reference import FOLDER
from tools.reference.files import made


def main() -> None:
    """Write each file, and name it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in made().items():
        (FOLDER / name).write_text(text)
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
