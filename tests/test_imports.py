"""No modules import each other in a circle, not even for types only: what needs to know each other is one
thing, or is cut wrongly."""

import ast
import graphlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"


def _modules(source: Path) -> dict[str, Path]:
    """Name → file; a package is its `__init__.py`."""
    modules = {}
    for path in source.rglob("*.py"):
        parts = path.relative_to(source).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def _imports(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules that it imports anywhere: at its top, in functions, for types only."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in modules else node.module)
    return names & modules.keys()


def _circle(source: Path) -> list[str]:
    """The modules of one circle, in its order; empty if there is none."""
    modules = _modules(source)
    graph = {name: _imports(path, modules) for name, path in modules.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_each_other_in_a_circle():
    assert len(_modules(SOURCE)) > 100
    circle = _circle(SOURCE)
    assert not circle, " is imported by ".join(circle)


@pytest.mark.parametrize(
    "text",
    [
        "from package import a",
        "from package.a import x",
        "import package.a",
        "if TYPE_CHECKING:\n    from package.a import x",
        "def f():\n    from package.a import x",
    ],
)
def test_every_form_of_import_can_close_a_circle(tmp_path, text):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.py").write_text("from package.b import y\n")
    (package / "b.py").write_text("import package.c\n")
    (package / "c.py").write_text("")
    assert _circle(tmp_path) == []
    (package / "c.py").write_text(f"{text}\n")
    assert set(_circle(tmp_path)) == {"package.a", "package.b", "package.c"}
