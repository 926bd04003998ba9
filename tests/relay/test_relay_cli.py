"""The command: every mistake is one line with a code, every command explains itself."""

import json
import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rq import Queue, SimpleWorker

from relay.cli import Exit, main


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("LINKROW_")]:
        monkeypatch.delenv(name)

    def run(*words: str, **environ: str) -> Result:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(main, [*words, "--data", str(tmp_path / "relay")])

    return run


def findings(result: Result) -> dict[str, dict[str, object]]:
    return {each["what"]: each for each in json.loads(result.stdout)}


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_and_option_has_help(name: str) -> None:
    command = main.commands[name]

    assert command.help
    assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0
    for parameter in command.params:
        assert getattr(parameter, "help", "argument"), f"{name} {parameter.name}"


def test_init_shows_each_secret_once(run) -> None:
    first = json.loads(run("init", "--json").stdout)
    again = json.loads(run("init", "--json").stdout)

    assert first["device_key"]["secret"].startswith("lrs_")
    assert again["device_key"] is None
    assert again["account_id"] == first["account_id"]
    assert first["device_key"]["secret"] not in run("init").output


def test_a_fresh_folder_is_well(run) -> None:
    run("init")

    result = run("doctor", "--json")

    assert result.exit_code == 0
    assert all(each["ok"] for each in findings(result).values())


def test_a_folder_that_was_never_set_up_is_not_well_and_says_the_cure(run) -> None:
    result = run("doctor")

    assert result.exit_code == Exit.UNWELL
    assert "run linkrow-relay init" in result.output


def test_a_redis_that_does_not_answer_is_a_finding(run) -> None:
    run("init")

    result = run("doctor", "--json", LINKROW_REDIS_URL="redis://127.0.0.1:1")

    assert result.exit_code == Exit.UNWELL
    assert not findings(result)["redis"]["ok"]
    assert not findings(result)["stray workers"]["ok"]
    assert findings(result)["ledger"]["ok"]


def test_a_stray_rq_worker_on_a_queue_for_agents_is_found(
    run, world, new_link, redis, redis_url: str
) -> None:
    run("init")
    world.admit(new_link("r_1"))
    worker = SimpleWorker([Queue("links.src_a", connection=redis)], connection=redis)
    worker.register_birth()

    result = run("doctor", "--json", LINKROW_REDIS_URL=redis_url)

    worker.register_death()
    assert result.exit_code == Exit.UNWELL
    assert "links.src_a" in str(findings(result)["stray workers"]["says"])


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        pytest.param({"LINKROW_REDIS_URL": "redis://h:port"}, "LINKROW_REDIS_URL", id="redis url"),
        pytest.param(
            {"LINKROW_DATABASE_URL": "postgresql://u:hushhush@h:port/d"}, "LINKROW_DATABASE_URL",
            id="database url",
        ),
        pytest.param(
            {"LINKROW_DATABASE_URL": "postgresql+asyncpg://u:hushhush@h/d"}, "linkrow[postgres]",
            id="a driver that is absent",
        ),
        pytest.param(
            {"LINKROW_DATABASE_URL": "postgresql+nothing://u:hushhush@h/d"},
            "LINKROW_DATABASE_URL", id="a driver there is none of",
        ),
        pytest.param({"LINKROW_MASTER_KEY": "c2hvcnQ="}, "32 bytes", id="master key"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_work_is_one_line(run, environ: dict[str, str], word: str) -> None:
    result = run("init", **environ)

    assert result.exit_code == Exit.BAD_CONFIG
    assert word in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "hushhush" not in result.stderr


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = CliRunner().invoke(main, ["init", "--data", str(tmp_path / "file" / "relay")])

    assert result.exit_code == Exit.BAD_CONFIG
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["serve", "clock", "recorder"])
def test_a_part_alone_says_that_it_needs_a_redis(run, name: str) -> None:
    interrupt = signal.getsignal(signal.SIGINT)

    result = run(name)

    assert result.exit_code == Exit.BAD_CONFIG
    assert "LINKROW_REDIS_URL" in result.stderr
    assert signal.getsignal(signal.SIGINT) is interrupt
