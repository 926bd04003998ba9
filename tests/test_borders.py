"""Who may import whom (docs/design.md, "Borders"), and every module says what it knows."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("wire", "connector", "relay", "agent")
MODULES = sorted(
    path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
)

# package → what of ours it may import; the longest prefix that fits a module decides
MAY_IMPORT = {
    "wire": {"wire"},
    "connector.tables": {"connector.tables"},
    "connector": {"connector", "wire"},
    "relay": {"relay", "wire", "connector.tables"},
    "agent": {"agent", "connector", "wire"},
}

# third party → the only files that may import it
ONLY_IN = {
    "pycurl": {"agent/transport.py"},
    "requests": {"connector/relay_http.py"},
    "gspread": {"connector/sheets.py"},
    "google": {"connector/sheets.py"},
    "playwright": {"agent/browser.py"},
    "openpyxl": {"connector/tables/xlsx.py"},
}

NO_IO_IN_WIRE = {
    "os",
    "socket",
    "pathlib",
    "subprocess",
    "requests",
    "urllib.request",
    "io",
    "time",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every module that *path* names in an import statement, wherever the statement stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_imports_only_what_its_package_may(path: Path) -> None:
    name = module_name(path)
    home = max((prefix for prefix in MAY_IMPORT if within(name, prefix)), key=len)

    ours = {module for module in imports(path) if module.split(".")[0] in PACKAGES}
    # `from connector import tables` names the bare package on its way.
    strangers = {
        module
        for module in ours
        if not any(
            within(module, allowed) or within(allowed, module) for allowed in MAY_IMPORT[home]
        )
        or (
            home == "relay"
            and within(module, "connector")
            and module != "connector"
            and not within(module, "connector.tables")
        )
    }

    assert not strangers


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_library_is_imported_only_where_it_belongs(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()

    misplaced = {
        module
        for module in imports(path)
        if place not in ONLY_IN.get(module.split(".")[0], {place})
    }

    assert not misplaced


@pytest.mark.parametrize(
    "path", [path for path in MODULES if within(module_name(path), "wire")], ids=module_name
)
def test_wire_does_no_io(path: Path) -> None:
    assert not imports(path) & NO_IO_IN_WIRE


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_the_first_line_of_a_module_says_what_it_knows(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))

    if not tree.body and path.name == "__init__.py":
        return
    docstring = ast.get_docstring(tree)

    assert docstring, f"{path} has no docstring"
    assert docstring.splitlines()[0].endswith((".", ":", "?"))


def test_connector_itself_imports_nothing() -> None:
    assert (ROOT / "connector" / "__init__.py").read_text("utf-8").strip() == ""


@pytest.mark.parametrize(
    ("package", "unwanted"),
    [
        ("wire", {"connector", "relay", "agent", "requests", "flask"}),
        ("connector.tables", {"relay", "agent", "wire", "requests", "flask", "gspread"}),
        ("connector.running.run", {"relay", "agent", "flask", "rq", "redis", "gspread", "pycurl"}),
        ("relay.app", {"agent", "connector.csv_file", "gspread", "pycurl", "requests"}),
        ("relay.cli", {"agent", "flask", "gunicorn", "alembic", "requests", "pandas"}),
        ("agent.agent", {"relay", "flask", "rq", "redis", "sqlalchemy", "gspread"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fresh_interpreter_loads_nothing_it_should_not(package: str, unwanted: set[str]) -> None:
    code = f"import sys, {package}; print('\\n'.join(sys.modules))"

    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert not unwanted & set(loaded)
