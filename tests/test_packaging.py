"""What the wheel carries, and that a desktop needs nothing of the relay's."""

import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            str(folder),
            str(ROOT),
        ],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("linkrow-*.whl"))


def base_distributions() -> set[str]:
    """The names of everything that `pip install linkrow`, without extras, brings along."""
    seen: set[tuple[str, str]] = set()
    todo = [("linkrow", "")]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        for text in requires:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                todo.append((requirement.name, ""))
                todo += [(requirement.name, wanted) for wanted in requirement.extras]
    return {re.sub(r"[-_.]+", "-", name).lower() for name, _ in seen}


def test_the_wheel_carries_the_templates_and_every_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "connector/sheet_templates/links.csv" in names
    assert any(name.endswith(".lua") for name in names) or "relay/queue/scripts.py" in names
    assert any(name.startswith("relay/ledger/migrations/versions/") for name in names)
    assert {name.split("/")[0] for name in names if name.endswith(".py")} == {
        "wire",
        "connector",
        "relay",
        "agent",
    }
    assert not [name for name in names if name.startswith(("tests", "docs", "bench"))]


def test_the_base_install_runs_agent_and_connector_with_no_flask_present(
    wheel: Path, tmp_path: Path
) -> None:
    allowed = base_distributions()
    assert "flask" not in allowed
    refused = sorted(
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & allowed
    )
    assert {"flask", "rq", "redis", "sqlalchemy"} <= set(refused)
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.path.insert(0, {str(tmp_path)!r})
import agent.agent, agent.resolver, agent.cli
import connector.cli, connector.csv_file, connector.running.run
assert agent.__file__.startswith({str(tmp_path)!r}), agent.__file__
from connector.demo import template
assert b"tracking_url" in template()
import relay.entry
try:
    relay.entry.main(["up"])
except SystemExit as stop:
    sys.stderr.write(f"exit {{stop.code}}")
"""

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "linkrow[embedded]" in done.stderr
    assert "Traceback" not in done.stderr
