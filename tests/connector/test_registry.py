import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from connector.errors import ConnectorError
from connector.locks import try_lock
from connector.registry import Registry, RegistryUnusable

ROOT = Path(__file__).parents[2]


def test_a_file_keeps_its_id_and_another_file_has_another(tmp_path):
    first = Registry(tmp_path).source_id_for(tmp_path / "a.csv")

    assert Registry(tmp_path).source_id_for(tmp_path / "a.csv") == first
    assert Registry(tmp_path).source_id_for(tmp_path / "b.csv") != first
    assert first.startswith("src_")


@pytest.mark.skipif(os.name != "posix", reason="links need no rights on POSIX")
def test_one_file_by_two_names_is_one_source(tmp_path, monkeypatch):
    (tmp_path / "a.csv").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    monkeypatch.chdir(tmp_path)
    registry = Registry(tmp_path / "home")

    ids = {registry.source_id_for(Path(name)) for name in ("a.csv", "./a.csv", "link.csv")}

    assert len(ids) == 1


def test_an_undecodable_name_is_a_name(tmp_path):
    name = Path(os.fsdecode(b"caf\xe9 \xe2\x98\x83.csv"))

    first = Registry(tmp_path).source_id_for(name)

    assert Registry(tmp_path).source_id_for(name) == first


def test_what_else_stands_in_the_settings_stays(tmp_path):
    (tmp_path / "settings.json").write_text('{"colour": "blue"}')

    Registry(tmp_path).source_id_for(tmp_path / "a.csv")

    assert json.loads((tmp_path / "settings.json").read_text())["colour"] == "blue"


def test_many_processes_at_once_agree_on_one_id(tmp_path):
    code = (
        "import sys; from pathlib import Path; from connector.registry import Registry; "
        "print([Registry(Path(sys.argv[1])).source_id_for(Path(f'/x/{n}')) for n in range(20)])"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]

    said = {process.communicate()[0] for process in running}

    assert len(said) == 1
    assert said != {""}
    assert [path.name for path in tmp_path.glob(".settings-*")] == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"\xff\xfe",
        "☃".encode(),
        b"1e9",
        b"[" * 100_000,
        b'{"sources": []}',
        b'{"sources": {"/a": "nonsense"}}',
    ],
    ids=["nothing", "garbage", "utf-16", "snowman", "a number", "deep", "a list", "no id"],
)
def test_a_damaged_file_is_said_and_left_alone(tmp_path, content):
    path = tmp_path / "settings.json"
    path.write_bytes(content)

    with pytest.raises(RegistryUnusable) as error:
        Registry(tmp_path).source_id_for(tmp_path / "a.csv")

    assert isinstance(error.value, ConnectorError)
    assert str(path) in str(error.value)
    assert path.read_bytes() == content


def test_a_lock_that_is_never_free_is_said(tmp_path):
    now = iter(range(100))
    registry = Registry(tmp_path, clock=lambda: float(next(now)), sleep=lambda seconds: None)

    with try_lock(tmp_path / "settings.lock"), pytest.raises(RegistryUnusable, match="held by"):
        registry.source_id_for(tmp_path / "a.csv")
