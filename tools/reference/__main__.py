"""Writes all of the documentation that is made of the program."""

from __future__ import annotations

from tools.reference import FOLDER, metrics
from tools.reference.files import made


def main() -> None:
    """Write each file, and name it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in made().items():
        (FOLDER / name).write_text(text)
        print(f"docs/reference/{name}")
    metrics.main()
    print("docs/metrics.md")


if __name__ == "__main__":
    main()
