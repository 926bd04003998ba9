"""`make million` at a size for every day: Ctrl-C in the middle, nothing lost, figures written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import million
from bench.farm import find_nginx

pytestmark = pytest.mark.processes
ROOT = Path(__file__).parents[1]


def found(**more: object) -> dict[str, object]:
    given = {
        "rows": 10,
        "file": {"right": 10, "wrong": 0},
        "runs": [{"exit_code": 3}, {"exit_code": 0}],
        "books": {"rows": 10, "done_twice": 0},
    }
    return given | more


@pytest.mark.parametrize(
    ("more", "word"),
    [
        pytest.param({"file": {"right": 9, "wrong": 1}}, "1 rows do not hold", id="a wrong row"),
        pytest.param({"file": {"right": 9, "wrong": 0}}, "do not hold", id="a row too few"),
        pytest.param(
            {"runs": [{"exit_code": 0}, {"exit_code": 0}]}, "exit codes", id="Ctrl-C came too late"
        ),
        pytest.param(
            {"runs": [{"exit_code": 3}, {"exit_code": 3}]}, "exit codes", id="not gone on"
        ),
        pytest.param({"books": {"rows": 9}}, "the books know 9", id="a row the books do not know"),
    ],
)
def test_what_is_not_as_promised_is_said(more: dict[str, object], word: str) -> None:
    assert million.faults(found()) == []

    (said,) = million.faults(found(**more))

    assert word in said


@pytest.mark.skipif(find_nginx() is None, reason="needs nginx")
@pytest.mark.timeout(240)
def test_a_small_million_goes_through_with_ctrl_c_in_the_middle(tmp_path: Path) -> None:
    out = tmp_path / "million.json"

    arguments = ["--rows", "6000", "--depth", "800", "--break-at", "0.2", "--every", "0.2"]
    arguments += ["--out", str(out), "--folder", str(tmp_path / "work")]

    done = subprocess.run(
        [sys.executable, "-m", "bench.million", *arguments],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
        timeout=200,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(out.read_text("utf-8"))
    assert figures["file"] == {"right": 6000, "wrong": 0}
    assert figures["books"]["done_twice"] == 0
    assert {"run", "agent", "redis", "relay serve"} <= figures["peak_resident_mb"].keys()
    assert figures["redis_used_peak_mb"] > 0
    assert "| rows | 6,000 |" in done.stdout
