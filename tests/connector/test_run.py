"""What a run adds up to: exit codes, percentiles, and the locks that die with their holders."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from connector.locks import try_lock
from connector.relay_errors import Refused
from connector.running.screen import WORDS
from connector.running.summary import Exit, Summary, percentile
from wire.vocab import Conclusion, Writeback


def summary(**more: object) -> Summary:
    given: dict[str, object] = {
        "file": Path("links.csv"),
        "source_id": "src_a",
        "refresh_id": "rf_1",
        "relay": "http://x",
        "rows": 3,
        "submitted": 3,
        "finished": 3,
        "by_conclusion": {Conclusion.VALID: 3},
        "by_writeback": {Writeback.WRITTEN: 3},
        "not_written": (),
        "p50_ms": 1,
        "p95_ms": 2,
        "seconds": 1.0,
    }
    return Summary(**(given | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        pytest.param({}, Exit.OK, id="every row in its place"),
        pytest.param({"by_conclusion": {Conclusion.HTTP_4XX: 3}}, Exit.OK, id="404s are an ending"),
        pytest.param(
            {"by_conclusion": {Conclusion.PAUSED_BY_OPERATOR: 3}, "submitted": 0, "finished": 0},
            Exit.OK,
            id="skips are an ending",
        ),
        pytest.param(
            {"by_conclusion": {Conclusion.AGENT_LOST: 3}}, Exit.OK, id="given up is an ending"
        ),
        pytest.param({"finished": 2}, Exit.UNFINISHED, id="one is unfinished"),
        pytest.param({"trouble": "stopped"}, Exit.UNFINISHED, id="stopped"),
        pytest.param({"by_conclusion": {Conclusion.JOB_EXPIRED: 1}}, Exit.UNFINISHED, id="expired"),
        pytest.param({"by_conclusion": {Conclusion.CANCELED: 1}}, Exit.UNFINISHED, id="canceled"),
        pytest.param(
            {"by_conclusion": {Conclusion.SUPERSEDED: 1}}, Exit.UNFINISHED, id="superseded"
        ),
        pytest.param({"by_writeback": {Writeback.CONFLICT: 1}}, Exit.UNFINISHED, id="not written"),
        pytest.param(
            {"by_writeback": {Writeback.PENDING: 1}}, Exit.UNFINISHED, id="not yet written"
        ),
        pytest.param({"by_writeback": {Writeback.PENDING: 0}}, Exit.OK, id="none pending"),
        pytest.param(
            {"refusal": Refused(code="quota_exceeded", status=429, detail="used up")},
            Exit.REFUSED,
            id="refused in the middle",
        ),
    ],
)
def test_a_run_is_good_only_when_nothing_is_missing_anywhere(
    more: dict[str, object], code: Exit
) -> None:
    assert summary(**more).exit is code


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        pytest.param({}, 0.5, None, id="none"),
        pytest.param({7: 1}, 0.5, 7, id="one"),
        pytest.param({1: 50, 9: 50}, 0.5, 1, id="exactly half"),
        pytest.param({1: 94, 9: 6}, 0.95, 9, id="just over"),
        pytest.param({1: 95, 9: 5}, 0.95, 1, id="just reached"),
    ],
)
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(
    counts: dict[int, int], share: float, value: int | None
) -> None:
    assert percentile(Counter(counts), share) == value


def test_every_conclusion_has_words_for_a_person() -> None:
    assert set(WORDS) == set(Conclusion)


def test_sharers_share_and_one_alone_excludes(tmp_path: Path) -> None:
    path = tmp_path / "users.lock"

    with (
        try_lock(path, shared=True) as first,
        try_lock(path, shared=True) as second,
        try_lock(path) as alone,
    ):
        assert (first, second, alone) == (True, True, False)

    with try_lock(path) as alone, try_lock(path, shared=True) as sharer:
        assert (alone, sharer) == (True, False)


@pytest.mark.processes
def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "users.lock"
    code = (
        "import sys\nfrom pathlib import Path\nfrom connector.locks import try_lock\n"
        f"with try_lock(Path({str(path)!r})):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"
    with try_lock(path) as while_held:
        pass

    holder.kill()
    holder.communicate()

    with try_lock(path) as after:
        assert (while_held, after) == (False, True)
