"""What a release needs: `check TAG`, whether it is that of the version, and `sums FOLDER`, its checksums."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from conduit import __version__

ROOT = Path(__file__).resolve().parent.parent
SUMS = "SHA256SUMS"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code is 1, with the reason, if there can be no release."""
    what, where = sys.argv[1:] if arguments is None else arguments
    if what == "sums":
        print(sums(Path(where)), end="")
        return 0
    problems = against(where, (ROOT / "CHANGELOG.md").read_text())
    for problem in problems:
        print(f"release: {problem}", file=sys.stderr)
    return 1 if problems else 0


def against(tag: str, changelog: str, version: str = __version__) -> list[str]:
    """What stands against a release with this tag, a sentence for each."""
    problems = []
    if tag != f"v{version}":
        problems.append(
            f"the tag is {tag or 'not given'}, and the version {version} (src/conduit/__init__.py):"
            f" the tag has to be v{version}"
        )
    if not re.search(rf"^## \[{re.escape(version)}\]", changelog, re.MULTILINE):
        problems.append(f"CHANGELOG.md has no heading [{version}]: what is new is still unreleased")
    return problems


def sums(folder: Path) -> str:
    """Write the SHA-256 of each package of the folder beside them, as `sha256sum --check` reads it."""
    packages = sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])
    text = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in packages
    )
    (folder / SUMS).write_text(text)
    return text


if __name__ == "__main__":
    sys.exit(main())
