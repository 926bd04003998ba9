"""The recipes for schedulers, run as they are written against a real relay, agent and file.

What cannot run here (cron itself, systemd, GitHub's runners, Airflow) is told in
docs/scheduling.md; what those would run is taken out of the recipe files and run.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from relay.ledger.ledger import Ledger
from relay.secret_box import SecretBox, load_master_key
from tests.machines import Machine, Source
from tests.processes import ROOT, SECONDS, Relay, Site
from wire.signing import Credentials, SignedHeaders, verify_request
from wire.vocab import KeyKind, Scope

RECIPES = ROOT / "deploy" / "scheduling"
EXAMPLE_RELAY = "https://relay.example.com"
EXAMPLE_SOURCE = "src_spring"
VECTORS = json.loads((ROOT / "tests" / "cases" / "signing_vectors.json").read_text("utf-8"))

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]


def load(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> types.ModuleType:
    return load(RECIPES / "linkrow_refresh.py")


class World:
    """A relay with an API key that may do no more than these recipes need, and a served source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = Site()
        (folder / "relay").mkdir()
        self.relay = Relay(folder / "relay")
        self.key = _api_key(self.relay.data)
        (folder / "desk").mkdir()
        self.machine = Machine(self.relay, folder / "desk")
        self.source: Source = self.machine.source(self.site, "spring", fast=3)
        self.machine.start_agent()
        self.key_file = folder / "key.json"
        self.key_file.touch(mode=0o600)
        self.key_file.write_text(json.dumps({"key_id": self.key.key_id, "secret": self.key.secret}))
        self.bin = folder / "bin"
        self.bin.mkdir()
        command = self.bin / "linkrow"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m connector.cli "$@"\n')
        command.chmod(0o755)

    @property
    def environ(self) -> dict[str, str]:
        """Nothing of the agent's machine: a scheduler lives elsewhere."""
        return {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "LINKROW_RELAY_URL": self.relay.url,
            "LINKROW_API_KEY": self.key.key_id,
            "LINKROW_API_SECRET": self.key.secret,
        }

    def real(self, text: str) -> str:
        """A recipe with this relay and this source for those of the example."""
        return (
            text.replace(EXAMPLE_RELAY, self.relay.url)
            .replace(EXAMPLE_SOURCE, self.source.source_id)
            .replace("/etc/linkrow/key.json", str(self.key_file))
        )

    def refreshes(self) -> list[str]:
        found = self.relay.client.refreshes(self.source.source_id).items
        return [each.refresh_id for each in found]

    def run(self, command: list[str] | str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            env=self.environ | environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            shell=isinstance(command, str),
        )

    def close(self) -> None:
        self.machine.close()
        self.relay.close()
        self.site.close()


def _api_key(data: Path) -> Credentials:
    ledger = Ledger.open(f"sqlite:///{data / 'ledger.sqlite3'}")
    try:
        account = ledger.first_account()
        assert account
        made = ledger.add_key(
            account,
            kind=KeyKind.API,
            scopes=frozenset({Scope.JOBS_WRITE, Scope.JOBS_READ}),
            name="schedulers",
            box=SecretBox(load_master_key(None, data / "master.key")),
            now=datetime.now(UTC),
        )
    finally:
        ledger.close()
    return Credentials(key_id=made.key_id, secret=made.secret)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="lr-sch-", dir="/tmp"))
    world = World(folder)
    # The relay hears of a source from the agent that serves it, or from whoever registers it.
    asked = world.machine.linkrow("refresh", "spring", "--wait")
    assert asked.returncode == 0, asked.stdout + asked.stderr + world.machine.log
    yield world
    world.close()
    shutil.rmtree(folder, ignore_errors=True)


# The two ways without Linkrow.


@pytest.mark.parametrize(
    "vector",
    [each for each in VECTORS if each["kind"] == "request"],
    ids=lambda each: each["target"],
)
def test_the_script_signs_as_the_vectors_have_it(script, monkeypatch, vector):
    monkeypatch.setattr(script.time, "time", lambda: vector["timestamp"])
    monkeypatch.setattr(script.secrets, "token_urlsafe", lambda size: vector["nonce"])
    relay = script.Relay("http://relay", "lrk_test0000", vector["secret"])

    headers = relay._signed(
        vector["method"],
        vector["target"],
        bytes.fromhex(vector["body_hex"]),
        vector["idempotency_key"],
    )

    assert headers["Linkrow-Signature"] == vector["signature"]


def python(world: World, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return world.run(
        [sys.executable, "-I", str(RECIPES / "linkrow_refresh.py"), *arguments], **environ
    )


def test_the_script_asks_waits_and_says_how_it_ended(world):
    done = python(world, world.source.source_id, "--key", "script-1", "--wait", "--timeout", "60")

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"refresh rf_\w+: done; 3 of 3 rows; valid 3", done.stdout)


def test_the_script_asked_again_under_its_key_is_the_same_refresh(world):
    before = world.refreshes()

    first = python(world, world.source.source_id, "--key", "script-2", "--wait")
    again = python(world, world.source.source_id, "--key", "script-2", "--wait")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert again.stdout == first.stdout
    assert len(world.refreshes()) == len(before) + 1


def test_the_script_takes_its_key_from_a_file(world):
    without = {"LINKROW_API_KEY": "", "LINKROW_API_SECRET": ""}
    arguments = (world.source.source_id, "--key", "script-3")

    done = python(world, *arguments, LINKROW_API_KEY_FILE=str(world.key_file), **without)
    missing = python(world, *arguments, **without)

    assert done.returncode == 0, done.stderr
    assert missing.returncode == 2
    assert "LINKROW_API_KEY_FILE" in missing.stderr


@pytest.mark.parametrize(
    ("environ", "arguments", "code", "word"),
    [
        ({"LINKROW_API_SECRET": "lrs_wrong"}, ["src_x"], 4, "[unauthorized]"),
        ({}, ["src_nobody"], 4, "[unknown_source]"),
        ({}, ["src_x", "--scope", "some"], 2, "--scope"),
        ({"LINKROW_RELAY_URL": "relay"}, ["src_x"], 2, "no relay's address"),
    ],
)
def test_the_script_says_what_is_wrong_in_a_line(world, environ, arguments, code, word):
    done = python(world, *arguments, "--key", "k", **environ)

    assert done.returncode == code
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert world.key.secret not in done.stdout + done.stderr


def test_the_script_tries_again_with_a_fresh_signature_under_the_same_key(script):
    sent: list[tuple[str, str]] = []
    relay = script.Relay("http://relay", "lrk_test0000", "s", sleep=lambda seconds: None)
    answers = iter([("redis_unavailable", True), ("nonce_replayed", True), None])

    def send(method: str, target: str, content: bytes, key: str, wait: int) -> Any:
        headers = relay._signed(method, target, content, key)
        sent.append((headers["Idempotency-Key"], headers["Linkrow-Nonce"]))
        if (refusal := next(answers)) is not None:
            raise script.RefusedError(refusal[0], "no", may_pass=refusal[1])
        return {"refresh": {}}

    relay._send = send

    assert relay.refresh("src_a", {}, key="k") == {"refresh": {}}
    assert [key for key, _ in sent] == ["k"] * 3
    assert len({nonce for _, nonce in sent}) == 3


def test_the_script_begins_another_refresh_when_the_one_of_its_key_failed(script):
    class Failing:
        def __init__(self) -> None:
            self.keys: list[str] = []

        def refresh(self, source_id: str, body: Any, *, key: str) -> Any:
            self.keys.append(key)
            failed = {"disposition": "replayed", "refresh": {"state": "failed"}}
            fresh = {"disposition": "created", "refresh": {"state": "waiting_for_agent"}}
            return failed if len(self.keys) < 3 else fresh

    relay = Failing()

    assert script.ask(relay, "src_a", {}, key="k") == {"state": "waiting_for_agent"}
    assert relay.keys == ["k", "k.2", "k.3"]


def test_the_scripts_exit_codes_are_those_of_linkrow_refresh(script):
    from connector.refreshes import Exit, exit_of
    from tests.connector.test_refresh_commands import CHECKING, FAILED, progress
    from wire.vocab import Conclusion, RefreshState, Writeback

    assert {each.name: each.value for each in Exit} == {
        name: getattr(script, name) for name in Exit.__members__
    }
    several = [CHECKING, FAILED, progress(finished=1)]
    several += [progress(state) for state in RefreshState]
    several += [progress(by_conclusion={word: 1}) for word in Conclusion]
    several += [progress(not_submitted={word: 1}) for word in Conclusion]
    several += [progress(by_writeback={word: 1}) for word in Writeback]
    for each in several:
        assert script.exit_of(each.model_dump(mode="json")) == exit_of(each), each


@pytest.fixture
def spied(world: World, tmp_path: Path) -> Callable[[], str]:
    """``curl`` and ``openssl`` that note their arguments before they do their work."""
    noted = tmp_path / "arguments"
    noted.touch()
    for name in ("curl", "openssl", "cut", "head"):
        real = shutil.which(name)
        spy = tmp_path / name
        spy.write_text(f'#!/bin/sh\necho "$0 $*" >> {noted}\nexec {real} "$@"\n')
        spy.chmod(0o755)
    return noted.read_text


def shell(world: World, tmp_path: Path, *arguments: str, **environ: str) -> Any:
    path = f"{tmp_path}:{os.environ['PATH']}"
    return world.run([str(RECIPES / "linkrow-refresh.sh"), *arguments], PATH=path, **environ)


def test_curl_and_openssl_alone_can_ask_and_the_secret_is_nobodys_argument(world, tmp_path, spied):
    before = world.refreshes()

    done = shell(world, tmp_path, world.source.source_id, "curl-1")
    again = shell(world, tmp_path, world.source.source_id, "curl-1", '{"scope":"stale"}')

    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    assert json.loads(done.stdout)["refresh"]["scope"] == "stale"
    assert json.loads(again.stdout)["disposition"] == "replayed"
    assert len(world.refreshes()) == len(before) + 1
    assert "curl" in spied()
    assert "openssl" in spied()
    assert world.key.secret not in spied()


@pytest.mark.parametrize("secret", ["6\\'\"%s $x`", "a" * 64, "6" * 64, "lrs_6"])
def test_the_shells_own_hmac_is_the_real_one_whatever_the_secret(secret):
    text = (RECIPES / "linkrow-refresh.sh").read_text("utf-8")
    functions = text[text.index("padded()") : text.index("if ((${#LINKROW")]

    made = subprocess.run(
        ["bash", "-c", functions + "\nprintf 'what is signed' | hmac"],
        env={"PATH": os.environ["PATH"], "LINKROW_API_SECRET": secret},
        capture_output=True,
        text=True,
        check=True,
    )

    import hashlib
    import hmac

    wanted = hmac.new(secret.encode(), b"what is signed", hashlib.sha256).hexdigest()
    assert made.stdout.strip() == wanted


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "word"),
    [
        (["src_nobody", "k"], {}, 4, "unknown_source"),
        (["src_x", "k"], {"LINKROW_API_SECRET": "lrs_wrong"}, 4, "unauthorized"),
        (["src_x", "k"], {"LINKROW_API_SECRET": "x" * 65}, 2, "longer"),
    ],
)
def test_the_shell_says_why_it_was_refused(world, tmp_path, arguments, environ, code, word):
    done = shell(world, tmp_path, *arguments, **environ)

    assert done.returncode == code
    assert word in done.stderr


def test_a_request_that_linkrow_signs_can_be_sent_by_curl(world):
    url = f"{world.relay.url}/v1/sources/{world.source.source_id}/refresh"
    body = '{"scope":"stale"}'

    done = world.run(
        f"linkrow sign POST {url} '{body}' --key signed-1 | "
        f"curl --silent --fail-with-body --header @- --data-binary '{body}' {url}"
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["refresh"]["scope"] == "stale"


# cron


def cron_lines() -> tuple[dict[str, str], list[list[str]]]:
    """The settings and the entries of the crontab, read as crontab(5) says."""
    settings: dict[str, str] = {}
    entries: list[list[str]] = []
    for line in (RECIPES / "cron" / "linkrow-refresh").read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if found := re.fullmatch(r"([A-Z_]+)=(.*)", line):
            settings[found[1]] = found[2]
        else:
            entries.append(line.split(maxsplit=6))
    return settings, entries


def test_the_crontabs_lines_run_as_cron_would_run_them(world):
    settings, entries = cron_lines()
    before = world.refreshes()
    given = {
        name: world.real(f"{value} {EXAMPLE_SOURCE}").split()[0] for name, value in settings.items()
    }
    assert len(entries) == 2

    for *when, _user, command in entries:
        assert all(re.fullmatch(r"[\d*,/-]+", field) for field in when)
        assert not re.search(r"(?<!\\)%", command), "cron ends a command at a bare %"
        done = subprocess.run(
            [given["SHELL"], "-c", world.real(command).replace("\\%", "%")],
            env={
                "PATH": f"{world.bin}:{given['PATH']}",
                "HOME": str(world.folder),
                "PYTHONPATH": str(ROOT),
                "LINKROW_RELAY_URL": given["LINKROW_RELAY_URL"],
                "LINKROW_API_KEY_FILE": given["LINKROW_API_KEY_FILE"],
            },
            cwd=world.folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    assert len(world.refreshes()) == len(before) + 1


# systemd


def unit(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (RECIPES / "systemd" / name).read_text("utf-8").splitlines():
        if "=" in line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_services_command_runs_as_systemd_would_run_it(world):
    import shlex

    service = unit("linkrow-refresh@.service")
    ((start),) = service["ExecStart"]
    specified = start.replace("%i", world.source.source_id).replace("%%", "%")
    environ = dict(each.split("=", 1) for each in service["Environment"])
    credentials = world.folder / "credentials"
    credentials.mkdir()
    shutil.copy(world.key_file, credentials / "key.json")
    (credentials / "key.json").chmod(0o400)
    assert service["LoadCredential"] == ["key.json:/etc/linkrow/key.json"]

    done = subprocess.run(
        shlex.split(specified),
        env={
            "PATH": f"{world.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
            "PYTHONPATH": str(ROOT),
            "LINKROW_API_KEY_FILE": environ["LINKROW_API_KEY_FILE"].replace("%d", str(credentials)),
            "LINKROW_RELAY_URL": world.real(environ["LINKROW_RELAY_URL"]),
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "done" in done.stdout


def test_the_service_is_not_tried_again_where_that_cannot_help():
    from connector.refreshes import Exit

    codes = unit("linkrow-refresh@.service")["RestartPreventExitStatus"]

    assert codes == [f"{Exit.BAD_INPUT} {Exit.UNFINISHED}"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    for name in ("linkrow-refresh@.service", "linkrow-refresh@.timer"):
        shutil.copy(RECIPES / "systemd" / name, tmp_path)
    instances = [tmp_path / f"linkrow-refresh@src_spring.{kind}" for kind in ("service", "timer")]
    for kind, instance in zip(("service", "timer"), instances, strict=True):
        instance.symlink_to(tmp_path / f"linkrow-refresh@.{kind}")

    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, instances)],
        capture_output=True,
        text=True,
        check=False,
    )
    (when,) = unit("linkrow-refresh@.timer")["OnCalendar"]
    calendar = subprocess.run(
        ["systemd-analyze", "calendar", when], capture_output=True, text=True, check=False
    )

    assert "linkrow-refresh" not in found.stdout + found.stderr
    assert calendar.returncode == 0, calendar.stderr
    assert "(in UTC)" in calendar.stdout or "UTC" in calendar.stdout


# GitHub Actions


def steps() -> list[dict[str, Any]]:
    """Each step with a ``run``: its script and its environment."""
    text = (RECIPES / "github-actions" / "linkrow-refresh.yml").read_text("utf-8")
    found = []
    for step in re.split(r"^      - ", text.partition("    steps:\n")[2], flags=re.MULTILINE)[1:]:
        if "run: |" not in step:
            continue
        environ = dict(
            re.findall(r"^          ([A-Z_]+): (.+)$", step.partition("run: |")[0], re.MULTILINE)
        )
        script = re.sub(r"^          ", "", step.partition("run: |\n")[2], flags=re.MULTILINE)
        found.append({"environ": environ, "run": script})
    return found


def test_the_workflows_steps_run_as_github_would_run_them(world, tmp_path):
    (step,) = steps()
    told = {
        "vars.LINKROW_RELAY_URL": world.relay.url,
        "vars.LINKROW_SOURCE": world.source.source_id,
        "secrets.LINKROW_API_KEY": world.key.key_id,
        "secrets.LINKROW_API_SECRET": world.key.secret,
        "github.run_id": "4711",
    }
    environ = {
        name: re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: told[found[1]], value)
        for name, value in step["environ"].items()
    }
    (tmp_path / ".github").mkdir()
    shutil.copy(RECIPES / "linkrow_refresh.py", tmp_path / ".github")
    file = tmp_path / "step.sh"
    file.write_text(step["run"])
    assert "${{" not in step["run"], "a value in a script is a way into it"

    runs = [
        subprocess.run(
            ["bash", "-e", str(file)],
            env={"PATH": os.environ["PATH"], **environ, **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        for more in ({}, {}, {"SOURCE": "src_nobody", "KEY": "other"})
    ]

    assert [each.returncode for each in runs] == [0, 0, 4], [each.stderr for each in runs]
    assert "done" in runs[0].stdout
    assert runs[1].stdout == runs[0].stdout


# Airflow


class Failed(Exception):
    pass


class FailedForGood(Failed):
    pass


@pytest.fixture
def dag(world: World, monkeypatch, script) -> types.SimpleNamespace:
    """The DAG's tasks, taken out of its file by stand-ins for Airflow's decorators."""
    tasks: dict[str, Callable[..., Any]] = {}

    def remember(function: Callable[..., Any]) -> Callable[..., Any]:
        tasks[function.__name__] = function
        return lambda *given: None

    def task(**_: Any) -> Callable[..., Any]:
        return remember

    task.sensor = lambda **_: remember  # type: ignore[attr-defined]
    connection = types.SimpleNamespace(
        host=world.relay.url, login=world.key.key_id, password=world.key.secret
    )
    sdk = types.ModuleType("airflow.sdk")
    sdk.BaseHook = types.SimpleNamespace(get_connection=lambda name: connection)  # type: ignore[attr-defined]
    sdk.PokeReturnValue = lambda is_done, xcom_value: (is_done, xcom_value)  # type: ignore[attr-defined]
    sdk.dag = lambda **_: lambda function: function  # type: ignore[attr-defined]
    sdk.get_current_context = lambda: {"run_id": "scheduled__2026-11-21T02:15:00+00:00"}  # type: ignore[attr-defined]
    sdk.task = task  # type: ignore[attr-defined]
    exceptions = types.ModuleType("airflow.exceptions")
    exceptions.AirflowException = Failed  # type: ignore[attr-defined]
    exceptions.AirflowFailException = FailedForGood  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "airflow", types.ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
    monkeypatch.setitem(sys.modules, "airflow.exceptions", exceptions)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "linkrow_refresh", script)
    module = load(RECIPES / "airflow" / "linkrow_refresh_dag.py")
    module.SOURCE = world.source.source_id
    return types.SimpleNamespace(**tasks, connection=connection, module=module)


def test_the_dags_tasks_ask_once_for_each_run_and_see_its_end(world, dag):
    before = world.refreshes()

    refresh_id = dag.ask()
    again = dag.ask()
    world.source.await_state(refresh_id, *world_over())
    is_done, found = dag.is_over(refresh_id)

    assert again == refresh_id
    assert len(world.refreshes()) == len(before) + 1
    assert (is_done, found["state"]) == (True, "done")


def test_a_refusal_that_will_not_pass_is_not_tried_again(dag):
    dag.connection.password = "lrs_wrong"

    with pytest.raises(FailedForGood, match="unauthorized"):
        dag.ask()


def world_over() -> tuple[Any, ...]:
    from wire.vocab import REFRESH_IS_OVER

    return tuple(REFRESH_IS_OVER)


def test_no_recipe_holds_a_secret_or_puts_one_on_a_command_line():
    for path in RECIPES.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            text = path.read_text("utf-8")
            assert not re.search(r"lrs_[A-Za-z0-9_-]{10,}", text), path
            assert "--secret" not in text, path
            assert not re.search(r"-hmac|-macopt", text), f"{path}: openssl's key is an argument"


def test_signed_headers_hold(script):
    relay = script.Relay("http://relay/prefix/", "lrk_test0000", "s")

    headers = relay._signed("POST", "/prefix/v1/x", b"{}", "k")

    verify_request(
        SignedHeaders.from_headers(headers),
        method="POST",
        target="/prefix/v1/x",
        body=b"{}",
        secrets_=["s"],
        now=datetime.now(UTC),
    )
