"""The measuring instrument works: on tiny sizes, and no time is asserted."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from bench import frame, report
from bench.farm import Farm, find_nginx
from tests.conftest import absent

ROOT = Path(__file__).parents[1]


def saying(words: str, *, check=lambda said: None, count: int = 1, name: str = "it"):
    return frame.Contestant(
        name=name, command=[sys.executable, "-c", words], count=count, check=check
    )


def test_a_contestant_that_fails_is_not_timed():
    with pytest.raises(frame.WrongAnswer, match="ended with 3"):
        frame.take_turn(saying("raise SystemExit(3)"))


def test_a_contestant_that_did_other_work_is_not_timed():
    def check(said: str) -> None:
        if said != "42\n":
            raise frame.WrongAnswer(said)

    frame.take_turn(saying("print(42)", check=check))
    with pytest.raises(frame.WrongAnswer, match="41"):
        frame.take_turn(saying("print(41)", check=check))


def test_rates_count_the_work_and_ratios_are_taken_round_by_round():
    ours, theirs = saying("", count=100, name="ours"), saying("", count=10, name="theirs")
    line = frame.Line(
        name="x",
        title="x",
        contestants=(ours, theirs),
        aims=(frame.Aim(yardstick="theirs", ratio=30.0),),
    )
    turns = {
        "ours": [frame.Turn(seconds=s, cpu_seconds=s, peak_mb=1) for s in (1.0, 2.0, 4.0)],
        "theirs": [frame.Turn(seconds=s, cpu_seconds=s, peak_mb=1) for s in (1.0, 4.0, 2.0)],
    }

    found = frame.summed_up(line, turns)

    assert found["contestants"][0]["per_second"] == {"median": 50, "min": 25, "max": 100}
    assert found["ratios"] == [
        {"yardstick": "theirs", "aim": 30.0, "median": 10, "min": 5, "max": 20}
    ]


def found(ratio: float) -> dict:
    spread = {"median": ratio, "min": ratio, "max": ratio}
    rate = {"median": 10.0, "min": 9.0, "max": 11.0}
    who = {"name": "ours", "count": 1, "per_second": rate, "cpu_us_each": 5.0, "peak_mb": 7.0}
    line = {"name": "x", "title": "some work", "contestants": [who]}
    return {
        "measured_at": "2026-01-01T00:00:00Z",
        "machine": "a machine",
        "is_quick": False,
        "repeat": 1,
        "lines": [line | {"ratios": [{"yardstick": "theirs", "aim": 0.8, **spread}]}],
    }


@pytest.mark.parametrize(("ratio", "word"), [(0.8, "met"), (0.79, "**not met**")])
def test_the_report_says_whether_an_aim_is_met(ratio, word):
    assert f"| theirs | {ratio:.2f} ({ratio:.2f}-{ratio:.2f}) | 0.8 | {word} |" in report.page(
        found(ratio)
    )


def test_the_report_of_a_smoke_test_says_that_it_means_nothing():
    assert "mean nothing" in report.page(found(1.0) | {"is_quick": True})
    assert "mean nothing" not in report.page(found(1.0))


@pytest.fixture
def nginx() -> None:
    if find_nginx() is None or shutil.which("curl") is None:
        absent("nginx and curl")


@pytest.mark.parametrize("is_closing", [False, True], ids=["kept alive", "closing"])
def test_the_farm_leads_over_its_hops_to_the_page_and_ends_with_the_block(nginx, is_closing):
    with Farm(hops=2, is_closing=is_closing) as farm:
        pid = farm.pid
        with requests.get(farm.link(7), timeout=60) as answer:
            assert [hop.status_code for hop in answer.history] == [302, 302]
            assert (answer.status_code, answer.url) == (200, farm.landing(7))
            assert (answer.headers["Connection"] == "close") is is_closing

    assert not psutil.pid_exists(pid)


def test_a_quick_measurement_ends_with_every_line_measured(nginx, tmp_path):
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "bench", "--quick", "--repeat", "1", "--out", str(out)]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert [line["name"] for line in json.loads(out.read_text())["lines"]] == ["resolve", "fresh"]
