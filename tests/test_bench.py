"""The measuring instrument works: on tiny sizes, and no time is asserted."""

import csv
import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import psutil
import pytest
import requests

from bench import frame, picture, report, service, tables
from bench.__main__ import LINES, in_words
from bench.delayed_farm import DelayedFarm, answers
from bench.farm import Farm, find_nginx
from bench.timed import Timed
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


def test_what_a_contestant_says_of_itself_counts_and_not_its_start():
    said = '{"seconds": 2.5, "cpu_seconds": 0.5, "waits": [0.1, 0.3]}'
    words = f"import sys; print('noise', file=sys.stderr); print({said!r}, file=sys.stderr)"

    turn = frame.take_turn(saying(words))

    assert (turn.seconds, turn.cpu_seconds, turn.waits) == (2.5, 0.5, [0.1, 0.3])


def test_cpu_is_also_that_of_the_children_a_contestant_waited_for():
    spends = "import time\nwhile time.process_time() < 0.5: pass"
    words = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spends!r}])"

    assert frame.take_turn(saying(words)).cpu_seconds >= 0.5


def test_a_timed_block_counts_the_cpu_of_a_helper_that_lives_on(capsys):
    spends = "input()\nimport time\nwhile time.process_time() < 0.5: pass\nprint(); input()"
    helper = subprocess.Popen(
        [sys.executable, "-u", "-c", spends], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with helper:
        with Timed() as timed:
            helper.stdin.write(b"\n")
            helper.stdin.flush()
            helper.stdout.readline()
            timed.waits.append(1.0)
        helper.communicate(b"\n")
    timed.say()

    said = json.loads(capsys.readouterr().err)
    assert said["cpu_seconds"] >= 0.2  # less what its start took, counted in hundredths
    assert said["waits"] == [1.0]
    assert said["seconds"] > 0


def turns(*seconds: float, waits: bool = False) -> list[frame.Turn]:
    return [
        frame.Turn(seconds=s, cpu_seconds=s, peak_mb=1, waits=[s, s, 9 * s] if waits else ())
        for s in seconds
    ]


def test_rates_count_the_work_and_ratios_are_taken_round_by_round():
    ours, theirs = saying("", count=100, name="ours"), saying("", count=10, name="theirs")
    line = frame.Line(
        name="x",
        title="x",
        unit="links",
        contestants=(ours, theirs),
        aims=(
            frame.Aim(yardstick="theirs", ratio=30.0),
            frame.Aim(yardstick="25 links/s", ratio=0.9, mark=25.0),
        ),
    )

    found = frame.summed_up(line, {"ours": turns(1, 2, 4), "theirs": turns(1, 4, 2)})

    assert found["contestants"][0]["per_second"] == {"median": 50, "min": 25, "max": 100}
    assert found["ratios"] == [
        {"yardstick": "theirs", "aim": 30.0, "median": 10, "min": 5, "max": 20, "cpu": 10},
        {"yardstick": "25 links/s", "aim": 0.9, "median": 2, "min": 1, "max": 4, "cpu": None},
    ]
    assert found["rounds"] == 3


def test_on_a_line_of_waits_the_shorter_one_is_the_faster_one():
    line = frame.Line(
        name="x",
        title="x",
        unit="jobs",
        measure=frame.Measure.WAIT,
        contestants=(saying("", name="ours"), saying("", name="theirs")),
        aims=(
            frame.Aim(yardstick="theirs", ratio=1.0),
            frame.Aim(yardstick="10 ms", ratio=1.0, mark=10),
        ),
    )

    found = frame.summed_up(
        line, {"ours": turns(0.02, waits=True), "theirs": turns(0.06, waits=True)}
    )

    ours = found["contestants"][0]
    assert ours["p50_ms"] == {"median": 20, "min": 20, "max": 20}
    assert ours["p95_ms"]["median"] == pytest.approx(180)
    assert [each["median"] for each in found["ratios"]] == pytest.approx([3, 0.5])


def test_on_a_line_of_calls_who_asks_less_often_for_as_much_is_ahead():
    line = frame.Line(
        name="x",
        title="x",
        unit="rows",
        measure=frame.Measure.CALLS,
        contestants=(saying("", name="ours", count=100), saying("", name="theirs", count=10)),
        aims=(
            frame.Aim(yardstick="theirs", ratio=1.0),
            frame.Aim(yardstick="20 calls", ratio=1.0, mark=100 / 20),
        ),
    )
    ours = frame.Turn(seconds=5, cpu_seconds=1, peak_mb=1, calls=10)
    theirs = frame.Turn(seconds=1, cpu_seconds=1, peak_mb=1, calls=20)

    measured = frame.summed_up(line, {"ours": [ours], "theirs": [theirs]})

    assert measured["contestants"][0]["calls"]["median"] == 10
    assert [each["median"] for each in measured["ratios"]] == [20, 2]
    measured |= {"measured_at": "2026-01-01T00:00:00Z", "load": 0.5}
    assert "| who | rows | API calls | rows/s |" in report.page(found(lines=[measured]), "")
    assert "10 calls for 100 rows" in in_words(measured)


def test_a_turn_says_how_many_calls_it_made():
    said = frame.take_turn(saying("import sys; print('{\"calls\": 7}', file=sys.stderr)"))

    assert said.calls == 7


def test_one_line_measured_anew_leaves_the_others_as_they_are():
    def of(name: str, ratio: float) -> dict:
        document = found(ratio)
        document["lines"][0]["name"] = name
        return document

    both = report.merged(of("whole", 5.0), of("resolve", 1.0))
    again = report.merged(both, of("resolve", 2.0))

    assert [line["name"] for line in again["lines"]] == ["resolve", "whole"]
    assert [line["ratios"][0]["median"] for line in again["lines"]] == [2.0, 5.0]
    with pytest.raises(SystemExit, match="whole"):
        report.merged(both, of("resolve", 2.0) | {"machine": "another"})


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 2), (0.51, 3), (0.95, 4), (1.0, 4)])
def test_a_percentile_is_one_of_the_values(share, value):
    assert frame.percentile([4, 1, 3, 2], share) == value


def found(ratio: float = 1.0, *, load: float = 0.5, **more) -> dict:
    spread = {"median": ratio, "min": ratio, "max": ratio}
    rate = {"median": 10.0, "min": 9.0, "max": 11.0}
    who = {"name": "ours", "count": 1, "per_second": rate, "cpu_us_each": 5.0, "peak_mb": 7.0}
    line = {"name": "x", "title": "some work", "unit": "links", "measure": "rate"}
    line |= {
        "contestants": [who],
        "ratios": [{"yardstick": "<theirs>", "aim": 0.8, **spread, "cpu": 2.0}],
    }
    line |= {"rounds": 1, "measured_at": "2026-01-01T00:00:00Z", "load": load}
    usual = {"machine": "a machine", "cores": 2}
    return usual | {"is_quick": False, "lines": [line]} | more


@pytest.mark.parametrize(("ratio", "word"), [(0.8, "met"), (0.79, "**not met**")])
def test_the_report_says_whether_an_aim_is_met(ratio, word):
    assert (
        f"| <theirs> | {ratio:.2f} ({ratio:.2f}-{ratio:.2f}) | 0.8 | {word} | 2.00 |"
        in report.page(found(ratio), "")
    )


def test_the_report_of_a_smoke_test_says_that_it_means_nothing():
    assert "mean nothing" in report.page(found(is_quick=True), "")
    assert "mean nothing" not in report.page(found(), "")


@pytest.mark.parametrize(("load", "is_said"), [(2.0, False), (2.5, True)])
def test_the_report_says_when_others_were_at_work(load, is_said):
    assert ("Others were at work" in report.page(found(load=load), "")) is is_said


def test_the_report_shows_waits_and_ends_with_what_was_written_by_hand():
    document = found()
    (line,) = document["lines"]
    (who,) = line["contestants"]
    del who["per_second"]
    who["p50_ms"] = {"median": 4.25, "min": 4.0, "max": 5.0}
    who["p95_ms"] = {"median": 120.0, "min": 100.0, "max": 1300.0}
    line["measure"] = "wait"

    page = report.page(document, "## By hand\n")

    assert "| who | p50 ms | p95 ms | | CPU µs a link | memory MB |" in page
    assert "| ours | 4.2 (4.0-5.0) | 120 (100-1,300) | ██" in page
    assert page.endswith("\n## By hand\n")
    assert "4.2 ms p50    120.0 p95" in in_words(line)


@pytest.mark.parametrize(
    ("ratio", "says"), [(0.056, "0.06"), (4.126, "4.13"), (41.26, "41.3"), (1412.6, "1,413")]
)
def test_a_ratio_is_shown_with_the_digits_that_mean_something(ratio, says):
    assert picture.figure(ratio) == says


def test_the_picture_has_a_bar_for_each_ratio_on_the_right_side_of_one_and_a_tick_at_the_aim():
    def drawn(ratio: float) -> tuple[float, float, str, float]:
        root = ET.fromstring(picture.svg(found(ratio)))
        kind = "{http://www.w3.org/2000/svg}"
        _, bar = root.findall(f"{kind}rect")
        tick = root.findall(f"{kind}path")[-1]
        assert "x: <theirs>" in [each.text for each in root.findall(f"{kind}text")]
        at = float(tick.attrib["d"].split()[0].removeprefix("M"))
        begin, width = float(bar.attrib["x"]), float(bar.attrib["width"])
        return begin, begin + width, bar.attrib["fill"], at

    (slow_begin, one, red, aim), (one_too, fast_end, green, same_aim) = drawn(0.5), drawn(2.0)

    assert one == one_too
    assert slow_begin < aim < one < fast_end
    assert aim == same_aim
    assert red != green


def test_the_page_and_its_picture_are_those_of_the_published_measurement():
    published = json.loads(report.PUBLISHED.read_text("utf-8"))

    assert not published["is_quick"]
    assert [line["name"] for line in published["lines"]] == list(LINES)
    by_hand = report.BY_HAND.read_text("utf-8")
    assert report.PAGE.read_text("utf-8") == report.page(published, by_hand)
    assert report.PICTURE.read_text("utf-8") == picture.svg(published)


# What is measured, and the farms.


@pytest.mark.parametrize("said", ["", "\n", "9 10", "10 9"])
def test_a_client_of_the_relay_that_did_less_than_all_is_not_timed(said):
    service.check("10 10\n", "it", 10)
    with pytest.raises(frame.WrongAnswer, match="of 10"):
        service.check(said, "it", 10)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows[:-1],
        lambda rows: [*rows, rows[-1]],
        lambda rows: [rows[1], rows[0], rows[2]],
        lambda rows: [rows[0], {**rows[1], "final_url": ""}, rows[2]],
    ],
    ids=["lost", "doubled", "swapped", "without its result"],
)
def test_a_file_that_does_not_hold_every_row_with_its_result_is_not_timed(tmp_path, spoil):
    rows = [{"row_id": f"r_{n:07d}", "final_url": f"to {n}"} for n in range(3)]

    def check(rows: list[dict[str, str]]) -> None:
        path = tmp_path / "rows.csv"
        with path.open("w", encoding="utf-8", newline="") as output:
            writer = csv.DictWriter(output, ["row_id", "final_url"])
            writer.writeheader()
            writer.writerows(rows)
        tables.check("3\n", path=path, rows=3, final=lambda n: f"to {n}")

    check(rows)
    with pytest.raises(frame.WrongAnswer):
        check(spoil(rows))


def test_a_reader_that_saw_less_than_all_rows_is_not_timed():
    with pytest.raises(frame.WrongAnswer, match="2 of 3"):
        tables.check("2\n", path=None, rows=3, final=str)


ASK = b"GET /%d?n=7 HTTP/1.1\r\nHost: x\r\n\r\n"


def test_the_delayed_farm_answers_whole_requests_and_keeps_the_half_of_one():
    said, left = answers(ASK % 2 + ASK % 0 + b"GET /1?n=8 HT", 80)

    assert said.count(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:80/1?n=7\r\n") == 1
    assert said.count(b"HTTP/1.1 200 OK") == 1
    assert said.count(b"HTTP/1.1") == 2
    assert left == b"GET /1?n=8 HT"


@pytest.mark.parametrize("asked", [b"POST / HTTP/1.1\r\n\r\n", b"x" * 20_000])
def test_the_delayed_farm_does_not_wait_for_what_is_no_request(asked):
    with pytest.raises(ValueError, match=r"POST|x"):
        answers(asked, 80)


def test_the_delayed_farm_leads_over_its_hops_to_the_page_and_answers_late():
    with DelayedFarm(hops=2, delay_ms=20) as farm, requests.get(farm.link(7), timeout=60) as answer:
        hops = [*answer.history, answer]

        assert [hop.status_code for hop in hops] == [302, 302, 200]
        assert answer.url == farm.landing(7)
        assert all(hop.elapsed.total_seconds() >= 0.02 for hop in hops)
        process = psutil.Process(farm.pid)

    assert not process.is_running()


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


def test_a_quick_measurement_ends_with_every_line_measured_that_was_asked_for(nginx, tmp_path):
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "bench", "--quick", "--repeat", "1", "--out", str(out)]

    ended = subprocess.run(
        [*command, "--only", "resolve,late"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    found = json.loads(out.read_text())
    assert [line["name"] for line in found["lines"]] == ["resolve", "late"]
    assert "smoke test" in report.page(found, "")


@pytest.mark.processes
@pytest.mark.parametrize("name", [name for name in LINES if name not in ("resolve", "late")])
def test_linkrow_does_the_work_of_every_line(nginx, tmp_path, name):
    make, _, quick = LINES[name]

    with make(tmp_path, quick) as line:
        turn = frame.take_turn(line.contestants[0])

    assert turn.seconds > 0
    assert len(turn.waits) == (
        line.contestants[0].count if line.measure is frame.Measure.WAIT else 0
    )
