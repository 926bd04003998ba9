import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.errors import AmbiguousSource, ConnectorError, SourceExists, UnknownSource
from connector.locks import try_lock
from connector.registered import FilePlace, Mode, RegisteredSource, SheetPlace
from connector.registry import Registry, RegistryUnusable

ROOT = Path(__file__).parents[2]


def test_a_file_keeps_its_id_and_another_file_has_another(tmp_path):
    first = Registry(tmp_path).source_id_of(FilePlace.of(tmp_path / "a.csv"))

    assert Registry(tmp_path).source_id_of(FilePlace.of(tmp_path / "a.csv")) == first
    assert Registry(tmp_path).source_id_of(FilePlace.of(tmp_path / "b.csv")) != first
    assert first.startswith("src_")


@pytest.mark.skipif(os.name != "posix", reason="links need no rights on POSIX")
def test_one_file_by_two_names_is_one_source(tmp_path, monkeypatch):
    (tmp_path / "a.csv").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    monkeypatch.chdir(tmp_path)
    registry = Registry(tmp_path / "home")

    ids = {
        registry.source_id_of(FilePlace.of(Path(name))) for name in ("a.csv", "./a.csv", "link.csv")
    }

    assert len(ids) == 1


def test_an_undecodable_name_is_a_name(tmp_path):
    name = Path(os.fsdecode(b"caf\xe9 \xe2\x98\x83.csv"))

    first = Registry(tmp_path).source_id_of(FilePlace.of(name))

    assert Registry(tmp_path).source_id_of(FilePlace.of(name)) == first


def test_what_else_stands_in_the_settings_stays(tmp_path):
    (tmp_path / "settings.json").write_text('{"colour": "blue"}')

    Registry(tmp_path).source_id_of(FilePlace.of(tmp_path / "a.csv"))

    assert json.loads((tmp_path / "settings.json").read_text())["colour"] == "blue"


def test_many_processes_at_once_agree_on_one_id(tmp_path):
    code = (
        "import sys; from pathlib import Path; from connector.registered import FilePlace; "
        "from connector.registry import Registry; registry = Registry(Path(sys.argv[1])); "
        "print([registry.source_id_of(FilePlace.of(Path(f'/x/{n}'))) for n in range(20)])"
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
        b'{"registered": []}',
        b'{"version": "two"}',
        b'{"version": true}',
    ],
    ids=[
        *("nothing", "garbage", "utf-16", "snowman", "a number", "deep", "a list", "no id"),
        *("a list of sources", "no version", "a yes for a version"),
    ],
)
def test_a_damaged_file_is_said_and_left_alone(tmp_path, content):
    path = tmp_path / "settings.json"
    path.write_bytes(content)

    with pytest.raises(RegistryUnusable) as error:
        Registry(tmp_path).source_id_of(FilePlace.of(tmp_path / "a.csv"))

    assert isinstance(error.value, ConnectorError)
    assert str(path) in str(error.value)
    assert path.read_bytes() == content


def test_a_lock_that_is_never_free_is_said(tmp_path):
    now = iter(range(100))
    registry = Registry(tmp_path, clock=lambda: float(next(now)), sleep=lambda seconds: None)

    with try_lock(tmp_path / "settings.lock"), pytest.raises(RegistryUnusable, match="held by"):
        registry.source_id_of(FilePlace.of(tmp_path / "a.csv"))


# Sources that agents serve.

NOW = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)
KEY = "1AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefg"


def file_source(path: Path, number: int = 1, **more: object) -> RegisteredSource:
    facts: dict[str, object] = {
        "source_id": f"src_{number:020}",
        "name": path.name,
        "place": FilePlace.of(path),
        "added_at": NOW + timedelta(seconds=number),
    }
    return RegisteredSource(**(facts | more))


def sheet_source(gid: int = 0, **more: object) -> RegisteredSource:
    place = SheetPlace(spreadsheet=KEY, gid=gid, title="Offers", tab=f"Tab {gid}")
    facts: dict[str, object] = {
        "source_id": f"src_sheet{gid}",
        "name": f"Offers / Tab {gid}",
        "place": place,
        "added_at": NOW,
    }
    return RegisteredSource(**(facts | more))


@pytest.mark.parametrize(
    "source",
    [
        file_source(Path("/x/links.csv")),
        file_source(
            Path("/x/links.csv"),
            columns={"tracking_url": "Link"},
            max_age=timedelta(hours=6),
            is_paused=True,
        ),
        file_source(Path(os.fsdecode(b"/x/caf\xe9 \xe2\x98\x83.csv"))),
        sheet_source(7),
        sheet_source(
            mode=Mode.RESULTS_TAB, is_protected=True, credentials=Path("/keys/robot.json")
        ),
    ],
    ids=["a file", "a file with everything", "an undecodable name", "a sheet", "a results tab"],
)
def test_a_registered_source_is_remembered_as_it_was_given(tmp_path, source):
    Registry(tmp_path).add(source)

    assert Registry(tmp_path).registered() == (source,)


def test_sources_are_listed_in_the_order_they_were_added(tmp_path):
    registry = Registry(tmp_path)
    for number in (3, 1, 2):
        registry.add(file_source(tmp_path / f"{number}.csv", number))

    assert [each.name for each in registry.registered()] == ["1.csv", "2.csv", "3.csv"]


def test_a_run_and_a_registration_agree_on_the_id(tmp_path):
    registry = Registry(tmp_path)
    by_run = registry.source_id_of(FilePlace.of(tmp_path / "a.csv"))

    place = FilePlace.of(tmp_path / "a.csv")
    registry.add(file_source(tmp_path / "a.csv", source_id=registry.source_id_of(place)))

    assert registry.registered()[0].source_id == by_run


def test_a_source_that_is_removed_and_added_again_has_its_old_id(tmp_path):
    registry = Registry(tmp_path)
    source = sheet_source(5)
    registry.add(source)

    registry.remove(source.source_id)

    assert registry.registered() == ()
    assert registry.source_id_of(replace(source.place, title="Renamed")) == source.source_id


def test_two_tabs_of_one_spreadsheet_are_two_sources(tmp_path):
    registry = Registry(tmp_path)

    ids = {registry.source_id_of(sheet_source(gid).place) for gid in (0, 1)}

    assert len(ids) == 2


def test_one_place_is_not_registered_twice(tmp_path):
    registry = Registry(tmp_path)
    registry.add(sheet_source())

    with pytest.raises(SourceExists, match="Offers / Tab 0"):
        registry.add(sheet_source(name="the same by another name"))

    assert len(registry.registered()) == 1


def test_a_pause_is_kept_and_lifted(tmp_path):
    registry = Registry(tmp_path)
    source = sheet_source(columns={"tracking_url": "Link"})
    registry.add(source)

    registry.pause(source.source_id, is_paused=True)
    paused = Registry(tmp_path).registered()
    registry.pause(source.source_id, is_paused=False)

    assert paused == (replace(source, is_paused=True),)
    assert registry.registered() == (source,)


@pytest.mark.parametrize(
    "change",
    [
        lambda registry: registry.pause("src_a", is_paused=True),
        lambda registry: registry.remove("src_a"),
    ],
    ids=["pause", "remove"],
)
def test_what_is_not_registered_cannot_be_changed(tmp_path, change):
    registry = Registry(tmp_path)
    registry.source_id_of(FilePlace.of(tmp_path / "known but not registered.csv"))

    with pytest.raises(UnknownSource):
        change(registry)


def test_the_stamp_differs_after_every_change_and_only_then(tmp_path):
    registry = Registry(tmp_path)
    stamps = [registry.stamp()]
    source = sheet_source()
    for change in (
        lambda: registry.add(source),
        lambda: registry.pause(source.source_id, is_paused=True),
        lambda: registry.pause(source.source_id, is_paused=False),
        lambda: registry.remove(source.source_id),
    ):
        change()
        assert registry.stamp() == registry.stamp()
        stamps.append(registry.stamp())

    assert stamps[0] is None
    assert len(set(stamps)) == len(stamps)


@pytest.mark.parametrize(
    "named",
    [
        "src_sheet3",
        "Offers / Tab 3",
        "offers / tab 3",
        f"https://docs.google.com/spreadsheets/d/{KEY}/edit#gid=3",
        f"https://docs.google.com/spreadsheets/d/{KEY}/edit?gid=3#gid=3",
        f"https://docs.google.com/spreadsheets/u/1/d/{KEY}/edit?usp=sharing&gid=3",
    ],
    ids=["id", "name", "name in small letters", "address", "both gids", "gid in the query"],
)
def test_a_sheet_is_found_by(tmp_path, named):
    registry = Registry(tmp_path)
    registry.add(sheet_source(3))
    registry.add(sheet_source(4))

    assert registry.find(named).source_id == "src_sheet3"


def test_a_file_is_found_by_any_path_to_it(tmp_path, monkeypatch):
    registry = Registry(tmp_path / "home")
    registry.add(file_source(tmp_path / "links.csv", name="the links"))
    monkeypatch.chdir(tmp_path)

    found = {registry.find(named).name for named in ("links.csv", "./links.csv", "the links")}

    assert found == {"the links"}


def test_a_spreadsheet_names_its_tab_only_when_there_is_one(tmp_path):
    registry = Registry(tmp_path)
    registry.add(sheet_source(3))
    alone = registry.find(KEY)
    registry.add(sheet_source(4))

    with pytest.raises(AmbiguousSource) as error:
        registry.find(KEY)

    assert alone.source_id == "src_sheet3"
    assert error.value.found == ("src_sheet3", "src_sheet4")
    assert "gid=4" in str(error.value)


def test_two_files_of_one_name_are_told_apart_by_id(tmp_path):
    registry = Registry(tmp_path)
    for number in (1, 2):
        registry.add(file_source(tmp_path / str(number) / "links.csv", number))

    with pytest.raises(AmbiguousSource) as error:
        registry.find("links.csv")

    assert "src_" in str(error.value)
    assert len(error.value.found) == 2


def test_an_unknown_name_is_answered_with_the_names_there_are(tmp_path):
    registry = Registry(tmp_path)
    registry.add(sheet_source())

    with pytest.raises(UnknownSource, match="'Offers / Tab 0'"):
        registry.find("Offres")


def test_an_old_file_keeps_working_and_keeps_its_ids(tmp_path):
    path = FilePlace.of(tmp_path / "a.csv").key
    (tmp_path / "settings.json").write_text(json.dumps({"sources": {path: "src_old"}}))
    registry = Registry(tmp_path)

    registry.add(sheet_source())

    assert registry.source_id_of(FilePlace.of(tmp_path / "a.csv")) == "src_old"
    assert [each.source_id for each in registry.registered()] == ["src_sheet0"]


def test_a_file_of_a_newer_version_is_refused_with_what_to_do(tmp_path):
    content = b'{"version": 3, "sources": {}}'
    (tmp_path / "settings.json").write_bytes(content)

    with pytest.raises(RegistryUnusable, match="version 3, this Linkrow knows 2; upgrade"):
        Registry(tmp_path).add(sheet_source())

    assert (tmp_path / "settings.json").read_bytes() == content


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"kind": "carrier pigeon"}, "kind"),
        ({"kind": None}, "kind"),
        ({"name": 7}, "name"),
        ({"gid": True}, "gid"),
        ({"gid": -1}, "gid"),
        ({"spreadsheet": ""}, "spreadsheet"),
        ({"mode": "upside-down"}, "mode"),
        ({"columns": {"tracking_url": 1}}, "columns"),
        ({"columns": {"no such column": "x"}}, "columns"),
        ({"max_age_seconds": 1e300}, "max_age_seconds"),
        ({"paused": "yes"}, "paused"),
        ({"added_at": "yesterday"}, "added_at"),
    ],
    ids=str,
)
def test_a_damaged_entry_is_said_with_its_place(tmp_path, change, where):
    told = sheet_source().to_json() | change
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"version": 2, "registered": {"src_a": told}}))

    with pytest.raises(RegistryUnusable, match=rf"src_a\.{where}: .*repair it"):
        Registry(tmp_path).registered()


def test_processes_that_register_at_once_lose_nothing(tmp_path):
    code = (
        "import sys; from pathlib import Path; from datetime import UTC, datetime\n"
        "from connector.registry import Registry\n"
        "from connector.registered import FilePlace, Mode, RegisteredSource\n"
        "for n in range(10):\n"
        "    registry = Registry(Path(sys.argv[1]))\n"
        "    place = FilePlace(path=Path(f'/x/{sys.argv[2]}.{n}'))\n"
        "    registry.add(RegisteredSource(source_id=registry.source_id_of(place), place=place,\n"
        "        name=str(n), added_at=datetime.now(UTC)))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)], cwd=ROOT)
        for number in range(4)
    ]

    assert [process.wait(100) for process in running] == [0] * 4
    assert len(Registry(tmp_path).registered()) == 40
