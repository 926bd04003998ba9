"""The glossary of keys tells the truth, in the module and in the docs, about a whole life."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from relay.clock import Clock
from relay.ledger.ledger import Ledger
from relay.queue.scripts import Scripts
from relay.recorder import Recorder

ROOT = Path(__file__).parents[3]
LUA = ROOT / "relay" / "queue" / "lua"
DOCS = (ROOT / "docs" / "queue.md").read_text("utf-8")
LIBRARY = (LUA / "library.lua").read_text("utf-8")
SHARED = {"library", "strangers", "refreshing"}
TYPES = ("string", "hash", "list", "set", "zset", "stream", "channel")


def in_the_module() -> dict[str, str]:
    head = LIBRARY.partition("-- Our fields of rq:job:<id>")[0]
    line = rf"^--   ((?:rq|linkrow):\S+) +({'|'.join(TYPES)})\b"
    return dict(re.findall(line, head, re.MULTILINE))


def in_the_docs() -> dict[str, tuple[str, str]]:
    rows = re.findall(
        r"^\| `((?:rq|linkrow):[^`]+)` \| (\w+) \| .+? \| ([^|]+) \|$", DOCS, re.MULTILINE
    )
    return {key.replace("\\|", "|"): (kind, stays) for key, kind, stays in rows}


def fields_in_the_module() -> set[str]:
    section = LIBRARY.partition("-- Our fields of rq:job:<id>")[2].partition("\n\n")[0]
    return set(re.findall(r"\blr_[a-z_]+", section))


def shape(pattern: str) -> re.Pattern[str]:
    """A glossary's key as an expression. What stands for one part has no colon in it."""
    parts = re.split(r"(<[^>]+>|(?:\w+\|)+\w+)", pattern)
    return re.compile(
        "".join(
            r"[^:\s]+"
            if part.startswith("<")
            else f"(?:{part})"
            if "|" in part
            else re.escape(part)
            for part in parts
        )
    )


def test_the_docs_and_the_module_have_the_same_glossary() -> None:
    docs = {key: kind for key, (kind, _) in in_the_docs().items()}

    assert docs == in_the_module()
    assert len(docs) > 25


def test_no_key_is_the_example_of_two_entries() -> None:
    examples = [
        re.sub(r"<[^>]+>", "x", key).replace("finished|failed|", "") for key in in_the_docs()
    ]

    for example in examples:
        assert [key for key in in_the_docs() if shape(key).fullmatch(example)] != []
        assert len([key for key in in_the_docs() if shape(key).fullmatch(example)]) == 1


@pytest.mark.parametrize(
    "path",
    [*sorted(LUA.glob("*.lua")), *sorted((ROOT / "relay").rglob("*.py"))],
    ids=lambda path: path.name if path.suffix == ".lua" else str(path.relative_to(ROOT)),
)
def test_no_key_stands_in_the_code_that_is_not_in_the_glossary(path: Path) -> None:
    text = "\n".join(
        line for line in path.read_text("utf-8").splitlines() if not line.startswith("--")
    )
    written = set(re.findall(r"""['"]((?:linkrow|rq):[a-z:]*)""", text))
    known = [re.sub(r"<.*", "", key) for key in in_the_docs()] + ["linkrow:nothing"]
    known += [f"rq:{end}:" for end in ("finished", "failed", "canceled")]

    strange = {key for key in written if not any(each.startswith(key) for each in known)}

    assert strange - {"linkrow:problem:"} == set()


def test_the_docs_name_every_script_and_no_other() -> None:
    table = DOCS.partition("| script |")[2].partition("\n\n")[0]
    scripts = {path.stem for path in LUA.glob("*.lua")} - SHARED

    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == scripts
    assert {"seventeen": 17, "eighteen": 18, "nineteen": 19}[
        re.search(r"(\w+) Lua scripts", DOCS)[1]
    ] == len(scripts)
    assert set(re.findall(r"`(\w+)\.lua`", DOCS)) <= {*scripts, *SHARED}


@pytest.fixture
def seen(world, monkeypatch) -> dict[str, Any]:
    """What lay in Redis after any script: per key its type and whether it goes by itself."""
    keys: dict[str, tuple[str, set[bool]]] = {}
    fields: set[str] = set()
    run = Scripts.run

    def run_and_look(scripts: Scripts, name: str, arguments: Any) -> Any:
        answer = run(scripts, name, arguments)
        for key in world.redis.scan_iter(count=10_000):
            kind, goes = world.redis.type(key).decode(), world.redis.ttl(key) != -1
            keys.setdefault(key.decode(), (kind, set()))[1].add(goes)
            if key.startswith(b"rq:job:"):
                fields.update(name.decode() for name in world.redis.hkeys(key))
        return answer

    monkeypatch.setattr(Scripts, "run", run_and_look)
    return {"keys": keys, "fields": fields}


def test_every_key_of_a_whole_life_is_in_the_glossary_and_every_entry_is_of_some_use(
    world, new_job, new_link, states, seen, tmp_path
) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    ledger.migrate()
    recorder = Recorder(world.broker, ledger)
    channel = world.redis.pubsub(ignore_subscribe_messages=True)
    channel.psubscribe("*")
    channel.get_message(timeout=5)

    for n, state in enumerate(states):
        one = new_job(f"src_{n}", refresh_id="rf_1795200000_aaaaaaaa")
        world.admit(one.request.model_copy(update={"refresh_id": None}))  # somebody joins
        state.happens(one)
        world.broker.spend_nonce(world.caller())
    for n in range(2):
        refresh = world.ask(f"src_{n}").refresh_id
        world.lease_to_read(f"src_{n}")
        world.broker.cancel_refresh("acct_a", f"src_{n}", refresh)
    recorder.drain()
    world.broker.sweep()
    recorder.release()
    world.redis.flushall()
    waiting = new_link(source_id="src_w", row_id="r_w")
    assert Clock(world.broker, ledger).rebuild()
    world.admit(waiting, caller=world.caller(timestamp=world.redis.time()[0]))
    channels = set()
    while message := channel.get_message(timeout=0.5):
        channels.add(message["channel"].decode())
    channel.close()
    ledger.close()

    used: dict[str, set[bool]] = defaultdict(set)
    for key, (kind, goes) in seen["keys"].items():
        found = [entry for entry in in_the_docs() if shape(entry).fullmatch(key)]
        assert len(found) == 1, key
        assert in_the_docs()[found[0]][0] == kind, key
        used[found[0]] |= goes
    for key in channels:
        (entry,) = (entry for entry in in_the_docs() if shape(entry).fullmatch(key))
        assert in_the_docs()[entry][0] == "channel"
        used[entry] = {False}
    assert set(used) == set(in_the_docs())
    assert {name for name in seen["fields"] if name.startswith("lr_")} == fields_in_the_module()
    for entry, (kind, stays) in in_the_docs().items():
        if kind == "channel":
            continue
        if re.match(r"\d+ (s|min|h|days)\b", stays):
            assert used[entry] == {True}, entry
        elif re.search(r", then \d+ s$", stays):
            assert used[entry] == {False, True}, entry
        else:
            assert used[entry] == {False}, entry


def test_the_memory_of_a_job_is_measured_in_the_states_that_the_docs_name() -> None:
    measured = subprocess.run(
        [sys.executable, "-m", "bench.queue_memory", "--jobs", "100", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert measured.returncode == 0, measured.stderr
    found = json.loads(measured.stdout)
    table = DOCS.partition("| a job that is |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| ([a-z][^|]*?) \|", table, re.MULTILINE)
    assert list(found["private"]["per_job"]) == list(found["default"]["per_job"]) == named
    keys = [figures["keys"] for figures in found["private"]["per_job"].values()]
    assert keys[-1] < keys[-2] < keys[-3]
