"""The repository's own rules, where a linter does not see them."""

import ast
import io
import os
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "conduit"

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
# Each exemption has a reason; so many of them that nobody reads the reasons is a failure as well.
EXEMPTIONS_MAX = 40
REASON_LETTERS_MIN = 10
# Of one in the documentation: who clones the project gets every version of it.
PICTURE_MAX_BYTES = 150_000

# Folders that are not the project's: hidden ones except CI's, and what the Makefile and tools make.
GENERATED = {"__pycache__", "build", "data", "dist", "htmlcov", "node_modules", "reports"}

# Packages whose every module the map names; elsewhere a line for the folder is enough.
MAPPED_IN_FULL = ("broker", "cluster", "core", "protocol", "server")
# Packages in which every module has a test file of its name. There is no list of exceptions.
MIRRORED = ("core", "protocol")

MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|work|Users|opt/wheels)/")
REGISTRY = re.compile(r"pypi\.org|pythonhosted\.|npmjs\.(?:org|com)|deb\.debian\.")
ADDRESS = re.compile(r"://|file:|--(?:extra-)?index-url|--find-links|--trusted-host")

EXEMPTION = re.compile(r"#\s*(?P<kind>noqa|type:\s*ignore)(?P<rest>.*)")
NOQA_CODES = re.compile(r"\s*:\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*(?P<reason>.*)")
IGNORE_CODES = re.compile(r"\[[a-z-]+(?:\s*,\s*[a-z-]+)*\](?P<reason>.*)")
FILE_EXEMPTION = re.compile(r"#\s*(?:ruff|flake8):\s*noqa|#\s*mypy:\s*ignore")

# Imported beside the package that brings them: parts of one thing under two names.
BROUGHT_BY = {"pydantic_core": "pydantic", "starlette": "fastapi", "hdrh": "hdrhistogram"}

MAP_LINE = re.compile(r"(?P<indent> *)(?P<name>\S+)(?: {2,}(?P<what>\S.*))?")
LINK = re.compile(r"""(?:\]\(|(?:src|srcset)=")(?!\w+:|#)(?P<target>[^)#\s"]+)""")


def _files() -> Iterator[Path]:
    for folder, names, files in os.walk(ROOT):
        names[:] = [
            name
            for name in names
            if name == ".ci" or not (name.startswith(".") or name in GENERATED)
        ]
        # A worktree's `.git` is a file, which says where the repository is.
        yield from (Path(folder, name) for name in files if name != ".git")


def _python_files() -> list[Path]:
    tops = {"src", "tests", "bench", "examples", "tools"}
    return sorted(
        path
        for path in _files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in tops
    )


def _text_files() -> Iterator[tuple[str, str]]:
    for path in _files():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def _modules(package: Path) -> set[str]:
    return {path.name for path in package.glob("*.py")} - {"__init__.py"}


def _packages(package: Path) -> set[str]:
    return {
        path.name
        for path in package.iterdir()
        if path.is_dir() and path.name not in GENERATED and any(path.rglob("*.py"))
    }


def test_files_are_short_enough_to_be_read_at_one_sitting():
    lengths = {path: len(path.read_text().splitlines()) for path in _python_files()}
    long = [f"{path.relative_to(ROOT)}: {n}" for path, n in lengths.items() if n > FILE_LINES_MAX]
    assert not long


def test_files_of_the_dashboard_are_as_short():
    made = ROOT / "dashboard" / "src" / "api" / "schema.ts"
    files = [path for path in _files() if path.suffix in {".ts", ".tsx", ".css"} and path != made]
    assert len(files) > 50
    assert not [path for path in files if len(path.read_text().splitlines()) > FILE_LINES_MAX]


def test_functions_are_short_enough_to_be_seen_whole():
    long = []
    for path in _python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length}")
    assert not long


def test_every_package_says_what_it_is_for():
    packages = {path.parent for path in PACKAGE.rglob("*.py")}
    silent = []
    for package in packages:
        init = package / "__init__.py"
        if not init.exists() or not ast.get_docstring(ast.parse(init.read_text())):
            silent.append(str(package.relative_to(ROOT)))
    assert not silent


@pytest.mark.process
def test_imports_point_down():
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", MIRRORED)
def test_every_module_has_a_test_file_of_its_name(package):
    modules = {name.removesuffix(".py") for name in _modules(PACKAGE / package)}
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / package).glob("test_*")}
    assert modules - tested == set()


def project_extras(project):
    """The packages that are imported only where they are wanted, by the first part of their names."""
    extras = project["optional-dependencies"].values()
    return {re.split(r"[-\W]", text)[0] for some in extras for text in some}


def test_what_is_imported_is_what_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w-]+", text) for text in project["dependencies"]]
    declared = {name[0].replace("-", "_") for name in names if name}
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    foreign = imported - sys.stdlib_module_names - {"conduit"} - project_extras(project)
    assert {BROUGHT_BY.get(name, name) for name in foreign} == declared


def test_what_is_installed_says_where_the_rest_is():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"Source", "Documentation", "Changelog", "Issues"} <= project["urls"].keys()
    for url in project["urls"].values():
        assert url.startswith(project["urls"]["Source"])
        # What it names in the repository is there.
        _, is_file, path = url.partition("/main/")
        assert not is_file or (ROOT / path).exists()


def test_no_file_holds_a_path_of_the_machine_it_was_written_on():
    found = [
        f"{name}: {line.strip()[:100]}"
        for name, text in _text_files()
        for line in text.splitlines()
        if MACHINE_PATH.search(line) or str(ROOT) in line
    ]
    assert not found


def test_no_file_names_a_package_registry():
    assert not [name for name, text in _text_files() if REGISTRY.search(text)]


def test_lock_files_hold_hashes_and_no_addresses():
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert [path.stem for path in locks] == [
        "bench",
        "build",
        "dashboard",
        "dev",
        "image",
        "lowest",
        "runtime",
    ]
    for path in locks:
        text = path.read_text()
        assert not ADDRESS.search(text), path.name
        pins = re.split(r"\n(?=\S)", text.strip())
        assert not [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin], path.name


def test_the_lowest_versions_that_are_allowed_are_those_that_are_tested():
    """Else `make lock` was forgotten, and a bound is a claim that nobody has tried."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["test"]]
    pins = (ROOT / "requirements" / "lowest.txt").read_text()
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)", pins, re.MULTILINE))
    for requirement in wanted:
        name, low = re.match(r"([\w-]+)>=([\d.]+)", requirement).groups()
        assert re.fullmatch(rf"{re.escape(low)}(\.0)*", pinned[name.replace("_", "-")]), requirement
    run = (ROOT / ".ci" / "run").read_text()
    assert "make test-lowest" in run


def _reason(comment: str) -> str | None:
    """The letters of an exemption's reason; None for a comment that exempts nothing."""
    exemption = EXEMPTION.match(comment)
    if exemption is None:
        return None
    codes = NOQA_CODES if exemption["kind"] == "noqa" else IGNORE_CODES
    named = codes.match(exemption["rest"])
    return "".join(filter(str.isalpha, named["reason"])) if named else ""


def test_every_exemption_names_its_rule_and_carries_its_reason():
    count, faults = 0, []
    for path in _python_files():
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type != tokenize.COMMENT:
                continue
            reason = _reason(token.string)
            count += reason is not None
            bare = reason is not None and len(reason) < REASON_LETTERS_MIN
            if bare or FILE_EXEMPTION.match(token.string):
                faults.append(f"{path.relative_to(ROOT)}:{token.start[0]} {token.string}")
    assert not faults
    assert count <= EXEMPTIONS_MAX


def _map() -> dict[str, str]:
    """ARCHITECTURE.md's tree of src/conduit: path → description; folders end in a slash."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    block = re.search(r"```\w*\nsrc/conduit/\n(.*?)```", text, re.DOTALL)
    assert block, "ARCHITECTURE.md has no block that begins with src/conduit/"
    entries: dict[str, str] = {}
    folders: list[str] = []
    for line in block[1].splitlines():
        entry = MAP_LINE.fullmatch(line)
        assert entry, f"not a line of the map: {line!r}"
        depth = len(entry["indent"]) // 2 - 1
        assert 0 <= depth <= len(folders), f"indented too far: {line!r}"
        folders[depth:] = [entry["name"]] if entry["name"].endswith("/") else []
        path = "".join(folders[:depth]) + entry["name"]
        assert path not in entries, f"twice in the map: {path}"
        entries[path] = entry["what"] or ""
    return entries


def test_the_map_describes_only_what_exists():
    entries = _map()
    assert not [path for path, what in entries.items() if not what]
    assert not [path for path in entries if not (PACKAGE / path).exists()]


def test_the_map_names_everything_that_exists():
    entries = _map()
    missing = [name for name in [*_modules(PACKAGE), "py.typed"] if name not in entries]
    for name in sorted(_packages(PACKAGE)):
        folder = f"{name}/"
        modules = {f"{folder}{module}" for module in _modules(PACKAGE / name)}
        inner = {f"{folder}{package}/" for package in _packages(PACKAGE / name)}
        if name in MAPPED_IN_FULL or entries.keys() & (modules | inner):
            missing += sorted((modules | inner) - entries.keys())
        if folder not in entries:
            missing.append(folder)
    assert not missing


def test_pictures_are_small():
    large = [
        f"{path.name}: {path.stat().st_size} B"
        for path in (ROOT / "docs" / "images").iterdir()
        if path.stat().st_size > PICTURE_MAX_BYTES
    ]
    assert not large


def test_links_between_pages_lead_somewhere():
    broken = []
    for name, text in _text_files():
        if name.endswith(".md"):
            here = (ROOT / name).parent
            targets = (link["target"] for link in LINK.finditer(text))
            broken += [f"{name}: {target}" for target in targets if not (here / target).exists()]
    assert not broken


def test_the_index_of_decisions_lists_every_page():
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    pages = [path.name for path in folder.glob("[0-9]*.md")]
    assert pages
    assert not [page for page in pages if f"({page})" not in index]
