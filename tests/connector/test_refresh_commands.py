"""``linkrow refresh``: what is asked of the relay, what is shown of it, and the exit codes."""

import io
import json
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from connector import refreshes
from connector.cli import main
from connector.refresh_screen import Watching
from connector.refreshes import Exit, exit_of
from connector.registered import FilePlace, RegisteredSource
from connector.registry import Registry
from connector.relay_errors import Refused, RelayError, Unreachable
from wire.models import ErrorDetail, RefreshProgress
from wire.source_models import RefreshAnswer, RefreshRequest, SourceRequest
from wire.vocab import Conclusion, Disposition, RefreshScope, RefreshState, Writeback

RID = "rf_1795200000_abcdefgh"
DOWN = Unreachable("http://relay", "connection refused")
GONE = ErrorDetail(code="file_not_found", detail="there is no file links.csv")


def progress(state: RefreshState = RefreshState.DONE, **more: Any) -> RefreshProgress:
    facts: dict[str, Any] = {
        "refresh_id": RID,
        "source_id": "src_a",
        "scope": RefreshScope.ALL,
        "state": state,
        "rows": 3,
        "submitted": 2,
        "finished": 2,
        "by_conclusion": {Conclusion.VALID: 2},
        "by_writeback": {Writeback.WRITTEN: 2},
        "not_submitted": {Conclusion.PAUSED_BY_OPERATOR: 1},
    }
    return RefreshProgress.model_validate(facts | more)


WAITING = progress(RefreshState.WAITING_FOR_AGENT, rows=None, submitted=0, finished=0)
READING = progress(RefreshState.READING, submitted=1, finished=0)
LOCKED = progress(
    RefreshState.READING, error=ErrorDetail(code="locked", detail="the file is being written")
)
CHECKING = progress(RefreshState.RUNNING, finished=1)
WRITING = progress(RefreshState.RUNNING, by_writeback={Writeback.PENDING: 1})
FAILED = progress(RefreshState.FAILED, rows=None, submitted=0, finished=0, error=GONE)


class Relay:
    """Answers in turn; the last answer for ever."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, RefreshRequest, str]] = []
        self.answers = [RefreshAnswer(refresh=WAITING, disposition=Disposition.CREATED)]
        self.steps: list[RefreshProgress | RelayError | Callable[[], None] | None] = [progress()]
        self.canceled: list[tuple[str, str]] = []
        self.is_unknown = False
        self.made: list[SourceRequest] = []
        self.url = ""
        self.key_id = ""

    def make_source(self, ask: SourceRequest) -> None:
        self.made.append(ask)

    def __call__(self, url: str, credentials: Any, **_: Any) -> "Relay":
        self.url, self.key_id = url, credentials.key_id
        return self

    def close(self) -> None:
        pass

    def refresh(
        self, source_id: str, ask: RefreshRequest, *, idempotency_key: str
    ) -> RefreshAnswer:
        if self.is_unknown and not self.made:
            raise Refused(code="unknown_source", status=404, detail="there is no such source")
        self.asked.append((source_id, ask, idempotency_key))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def progress(self, source_id: str, refresh_id: str, **_: Any) -> RefreshProgress | None:
        assert (source_id, refresh_id) == ("src_a", RID)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, RelayError):
            raise step
        if callable(step):
            step()
            return self.progress(source_id, refresh_id)
        return step

    def cancel_refresh(self, source_id: str, refresh_id: str) -> RefreshProgress:
        self.canceled.append((source_id, refresh_id))
        return progress(RefreshState.CANCELED)


@pytest.fixture
def relay(monkeypatch) -> Relay:
    relay = Relay()
    monkeypatch.setattr("connector.refresh_commands.RelayClient", relay)
    monkeypatch.setattr("connector.refreshes._PAUSE_SECONDS", 0.001)
    return relay


@pytest.fixture
def refresh(monkeypatch, tmp_path, relay):
    monkeypatch.setenv("LINKROW_HOME", str(tmp_path))
    monkeypatch.setenv("LINKROW_API_KEY", "lrk_test0000")
    monkeypatch.setenv("LINKROW_API_SECRET", "s")
    monkeypatch.delenv("LINKROW_RELAY_URL", raising=False)

    def run(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(main, ["refresh", *arguments], input=stdin)

    return run


@pytest.mark.parametrize(
    ("options", "stdin", "request_"),
    [
        ([], "", {}),
        (["--all"], "", {}),
        (["--stale", "90m"], "", {"scope": "stale", "max_age_seconds": 5400}),
        (["--failed"], "", {"scope": "failed"}),
        (["--rows", "r_1", "--rows", " r_2"], "", {"scope": "rows", "row_ids": ["r_1", "r_2"]}),
        (["--rows", "-"], "r_1\n\nr_2\nr_1\n", {"scope": "rows", "row_ids": ["r_1", "r_2"]}),
        (["--expires-in", "2h"], "", {"expires_in": 7200}),
    ],
)
def test_the_scope_is_asked_for_as_it_was_given(refresh, relay, options, stdin, request_):
    result = refresh("src_a", *options, stdin=stdin)

    assert result.exit_code == 0, result.output
    ((source_id, asked, key),) = relay.asked
    assert source_id == "src_a"
    assert asked == RefreshRequest.model_validate(request_)
    assert len(key) >= 16


def test_it_says_how_to_watch_and_how_to_cancel(refresh):
    result = refresh("src_a")

    assert result.stdout == f"refresh {RID}: waiting for an agent that serves this source\n"
    assert f"linkrow refresh src_a --id {RID}" in result.stderr
    assert f"linkrow refresh src_a --cancel {RID}" in result.stderr


@pytest.fixture
def registered(tmp_path) -> Path:
    path = tmp_path / "links.csv"
    path.touch()
    Registry(tmp_path).add(
        RegisteredSource(
            source_id="src_a",
            name="Spring sale",
            place=FilePlace.of(path),
            added_at=datetime(2026, 11, 20, tzinfo=UTC),
        )
    )
    return path


def test_a_source_is_found_by_its_name_and_place(refresh, relay, registered):
    assert refresh("spring sale").exit_code == 0
    assert refresh(str(registered)).exit_code == 0
    assert [asked[0] for asked in relay.asked] == ["src_a", "src_a"]


@pytest.mark.usefixtures("registered")
def test_a_source_that_no_agent_announced_yet_is_made_known(refresh, relay):
    relay.is_unknown = True

    assert refresh("spring sale", "--key", "k").exit_code == 0

    assert relay.made == [SourceRequest(source_id="src_a", kind="file", name="Spring sale")]
    assert [key for _, _, key in relay.asked] == ["k"]


def test_an_id_that_nobody_knows_is_not_made_up(refresh, relay):
    relay.is_unknown = True

    result = refresh("src_typo")

    assert result.exit_code == Exit.REFUSED
    assert "[unknown_source]" in result.stderr
    assert relay.made == []


def test_a_name_that_is_none_is_said_before_anything_is_asked(refresh, relay):
    result = refresh("autumn")

    assert result.exit_code == Exit.BAD_INPUT
    assert "no registered source is called 'autumn'" in result.stderr
    assert relay.asked == []


def test_a_given_key_is_the_refreshs_own(refresh, relay):
    refresh("src_a", "--key", "nightly-2026-11-21")

    assert [key for _, _, key in relay.asked] == ["nightly-2026-11-21"]


def test_a_key_whose_refresh_failed_begins_another_under_the_next_key(refresh, relay):
    failed = RefreshAnswer(refresh=FAILED, disposition=Disposition.REPLAYED)
    relay.answers = [
        failed,
        failed,
        RefreshAnswer(refresh=WAITING, disposition=Disposition.CREATED),
    ]

    assert refresh("src_a", "--key", "k", "--wait").exit_code == 0

    assert [key for _, _, key in relay.asked] == ["k", "k.2", "k.3"]


@pytest.mark.parametrize(
    "state", [RefreshState.DONE, RefreshState.CANCELED, RefreshState.RUNNING], ids=str
)
def test_a_key_whose_refresh_did_not_fail_stays_that_refresh(refresh, relay, state):
    relay.answers = [RefreshAnswer(refresh=progress(state), disposition=Disposition.REPLAYED)]

    refresh("src_a", "--key", "k")

    assert [key for _, _, key in relay.asked] == ["k"]


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        pytest.param(progress(), Exit.OK, id="done"),
        pytest.param(progress(RefreshState.CANCELED), Exit.UNFINISHED, id="canceled"),
        pytest.param(FAILED, Exit.FAILED, id="failed"),
        pytest.param(CHECKING, Exit.STILL_RUNNING, id="running"),
        pytest.param(progress(finished=1), Exit.UNFINISHED, id="a row without an ending"),
        pytest.param(
            progress(by_conclusion={Conclusion.TIMEOUT: 2}), Exit.OK, id="links that fail"
        ),
        pytest.param(
            progress(by_conclusion={Conclusion.JOB_EXPIRED: 1}), Exit.UNFINISHED, id="expired"
        ),
        pytest.param(
            progress(by_writeback={Writeback.CONFLICT: 1}), Exit.UNFINISHED, id="not in its row"
        ),
        pytest.param(
            progress(not_submitted={Conclusion.ROW_MISSING: 1}), Exit.UNFINISHED, id="no such row"
        ),
        pytest.param(
            progress(not_submitted={Conclusion.INVALID_URL: 1}), Exit.OK, id="a row told so"
        ),
    ],
)
def test_the_exit_code_says_how_it_ended(ended, code):
    assert exit_of(ended) is code


def test_watching_without_a_terminal_says_each_phase_once_and_ends_with_a_table(refresh, relay):
    relay.steps = [WAITING, WAITING, READING, LOCKED, CHECKING, CHECKING, WRITING, progress()]

    result = refresh("src_a", "--watch")

    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "waiting for an agent that serves this source",
        "reading rows",
        "reading rows: the file is being written",
        "checking links",
        "writing rows",
        "done",
    ]
    assert f"refresh {RID}: done, 3 rows" in result.stdout
    assert "valid" in result.stdout
    assert "paused_by_operator" in result.stdout


def test_a_terminal_shows_a_bar_that_says_what_is_waited_for():
    screen = io.StringIO()
    watching = Watching(Console(file=screen, force_terminal=True, width=110), quiet=False)
    shown = []

    for step in (WAITING, READING, LOCKED, CHECKING, WRITING):
        screen.truncate(0)
        watching.show(step)
        watching._bar.refresh()
        shown.append(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()))
    watching.away(DOWN)
    watching.end()

    words = ["waiting for an agent", "reading rows", "is being written", "1/2", "1 to be written"]
    assert [word in text for word, text in zip(words, shown, strict=True)] == [True] * 5
    assert "the relay is away" in screen.getvalue()


def test_waiting_says_nothing_until_it_is_over(refresh, relay):
    relay.steps = [WAITING, READING, progress()]

    result = refresh("src_a", "--wait")

    assert result.exit_code == 0
    assert result.stderr == ""
    assert "done" in result.stdout


def test_a_failure_is_told_in_the_connectors_words_even_when_quiet(refresh, relay):
    relay.steps = [FAILED]

    loud, quiet = refresh("src_a", "--wait"), refresh("src_a", "--wait", "--quiet")

    assert (loud.exit_code, quiet.exit_code) == (5, 5)
    assert "there is no file links.csv [file_not_found]" in loud.stdout
    assert quiet.stdout == ""
    assert quiet.stderr == "linkrow: there is no file links.csv [file_not_found]\n"


def test_json_is_one_object_with_the_exit_in_words(refresh, relay):
    relay.steps = [READING, progress()]

    asked, done = refresh("src_a", "--json"), refresh("src_a", "--wait", "--json")

    assert json.loads(asked.stdout)["state"] == "waiting_for_agent"
    found = json.loads(done.stdout)
    assert (found["state"], found["exit"], found["submitted"]) == ("done", "ok", 2)
    assert done.stderr == ""


def test_ctrl_c_leaves_it_running_and_says_how_to_go_on(refresh, relay):
    relay.steps = [READING, lambda: signal.raise_signal(signal.SIGINT), CHECKING]

    result = refresh("src_a", "--watch")

    assert result.exit_code == Exit.STILL_RUNNING
    assert f"{RID} goes on" in result.stderr
    assert f"linkrow refresh src_a --id {RID}" in result.stderr
    assert relay.canceled == []


def test_waiting_has_an_end_when_it_was_given_one(refresh, relay):
    relay.steps = [READING]

    result = refresh("src_a", "--wait", "--timeout", "0s")

    assert result.exit_code == Exit.STILL_RUNNING
    assert f"{RID} goes on" in result.stderr


def test_a_refresh_that_runs_already_is_followed_and_none_is_asked_for(refresh, relay):
    result = refresh("src_a", "--id", RID)

    assert result.exit_code == 0
    assert relay.asked == []


def test_a_relay_that_is_away_for_a_moment_is_waited_for(refresh, relay):
    relay.steps = [READING, DOWN, DOWN, progress()]

    result = refresh("src_a", "--watch")

    assert result.exit_code == 0
    assert result.stderr.count("the relay is away") == 1


def test_a_relay_that_stays_away_ends_the_waiting(refresh, relay, monkeypatch):
    monkeypatch.setattr(refreshes, "AWAY_SECONDS", -1.0)
    relay.steps = [READING, DOWN]

    result = refresh("src_a", "--wait")

    assert result.exit_code == Exit.REFUSED
    assert "[relay_unreachable]" in result.stderr


@pytest.mark.parametrize(
    ("step", "code"),
    [(None, "not_found"), (Refused(code="unauthorized", status=401, detail="no"), "unauthorized")],
)
def test_a_refusal_ends_the_waiting(refresh, relay, step, code):
    relay.steps = [step]

    result = refresh("src_a", "--wait")

    assert result.exit_code == Exit.REFUSED
    assert f"[{code}]" in result.stderr


def test_canceling_ends_that_refresh(refresh, relay):
    result = refresh("src_a", "--cancel", RID)

    assert result.exit_code == 0
    assert relay.canceled == [("src_a", RID)]
    assert relay.asked == []
    assert "canceled" in result.stdout


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--all", "--failed"], "exclude each other"),
        (["--stale", "1d", "--rows", "r_1"], "exclude each other"),
        (["--id", RID, "--cancel", RID], "exclude each other"),
        (["--id", RID, "--failed"], "was asked for"),
        (["--cancel", "rf_1"], "no refresh"),
        (["--stale", "soon"], "90m"),
        (["--stale", "9999d"], "max_age_seconds"),
        (["--rows", "-"], "no row id"),
        (["--rows", "a\tb"], "row_ids"),
        (["--key", "a b"], "no space"),
        (["--key", "x" * 241], "240"),
        (["--expires-in", "8d"], "7d"),
        (["--timeout", "1h"], "--watch or --wait"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_asked(refresh, relay, options, word):
    result = refresh("src_a", *options)

    assert result.exit_code == Exit.BAD_INPUT
    assert word in result.output
    assert relay.asked == []


def test_too_many_rows_are_said_before_anything_is_asked(refresh, relay):
    result = refresh("src_a", "--rows", "-", stdin="\n".join(f"r_{n}" for n in range(1001)))

    assert result.exit_code == Exit.BAD_INPUT
    assert "at most 1000" in result.output


def test_without_a_key_it_says_which_settings_to_make(refresh, relay, monkeypatch):
    for name in ("LINKROW_API_KEY", "LINKROW_API_SECRET"):
        monkeypatch.delenv(name)

    result = refresh("src_a")

    assert result.exit_code == Exit.BAD_INPUT
    assert "LINKROW_API_KEY_FILE" in result.stderr


def test_the_relay_and_the_key_come_from_the_environment(refresh, relay, monkeypatch):
    monkeypatch.setenv("LINKROW_RELAY_URL", "http://relay.example")

    refresh("src_a")
    assert (relay.url, relay.key_id) == ("http://relay.example", "lrk_test0000")

    refresh("src_a", "--relay", "http://other.example")
    assert relay.url == "http://other.example"


def test_nobody_else_finds_the_secret_in_what_is_said(refresh, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("LINKROW_API_SECRET", "lrs_very_secret")

    assert "lrs_very_secret" not in refresh("src_a", "--watch", "--json").output
