import ipaddress
import json
from pathlib import Path

import pytest

from agent.errors import BadSetting
from agent.settings import DEFAULT_RELAY, Settings, home_of
from connector.registered import Mode, SheetPlace


def test_every_problem_is_named_at_once(tmp_path):
    with pytest.raises(BadSetting) as error:
        Settings.from_options(
            {},
            allow_private=["10.0.0.1/8", "☃"],
            cafile=tmp_path / "ca.pem",
            file=tmp_path / "links.csv",
            source_id="../../etc",
            columns=["tracking_url"],
        )

    assert len(error.value.problems) == 6


def test_an_option_wins_over_the_environment_and_that_over_the_own_relay(tmp_path):
    (tmp_path / "relay").mkdir()
    (tmp_path / "relay" / "relay.json").write_text(json.dumps({"url": "http://own", "pid": 1}))
    environ = {"LINKROW_HOME": str(tmp_path)}
    named = environ | {"LINKROW_RELAY_URL": "http://named"}

    assert Settings.from_options(named, relay="http://given").relay == "http://given"
    assert Settings.from_options(named).relay == "http://named"
    assert Settings.from_options(environ).relay == "http://own"


@pytest.mark.parametrize("content", [None, "", "garbage", "1e9", "☃", "[]"])
def test_without_a_readable_note_the_usual_address_is_taken(tmp_path, content):
    if content is not None:
        (tmp_path / "relay").mkdir()
        (tmp_path / "relay" / "relay.json").write_text(content)

    assert Settings.from_options({"LINKROW_HOME": str(tmp_path)}).relay == DEFAULT_RELAY


def test_columns_and_networks_are_read(tmp_path):
    file = tmp_path / "links.csv"
    file.touch()

    settings = Settings.from_options(
        {"LINKROW_HOME": str(tmp_path)},
        file=file,
        columns=["tracking_url=My = Link"],
        allow_private=["127.0.0.0/8", "::1/128"],
    )

    assert settings.columns == {"tracking_url": "My = Link"}
    assert settings.allow == (
        ipaddress.ip_network("127.0.0.0/8"),
        ipaddress.ip_network("::1/128"),
    )
    assert settings.spool_path("src_a") == tmp_path / "agent" / "spool" / "src_a.sqlite3"


def test_columns_without_a_file_mean_nothing(tmp_path):
    with pytest.raises(BadSetting, match="need --file"):
        Settings.from_options({}, home=tmp_path, columns=["tracking_url=Link"])


def test_home_is_where_the_environment_says():
    assert home_of({"LINKROW_HOME": "/tmp/x"}) == Path("/tmp/x")
    assert "linkrow" in str(home_of({}))


SHEET = "https://docs.google.com/spreadsheets/d/1AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefg/edit"


def test_a_sheet_is_named_by_the_address_of_one_tab(tmp_path):
    settings = Settings.from_options(
        {}, home=tmp_path, sheet=f"{SHEET}#gid=7", results_tab=True, columns=["tracking_url=Link"]
    )

    assert isinstance(settings.place, SheetPlace)
    assert settings.place.gid == 7
    assert str(settings.place) == f"{SHEET}#gid=7"
    assert settings.mode is Mode.RESULTS_TAB


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"sheet": SHEET}, "with #gid="),
        ({"sheet": "Some title"}, "with #gid="),
        ({"sheet": "https://example.com/"}, "docs.google.com"),
        ({"sheet": f"{SHEET}#gid=0", "file": Path(__file__)}, "one of them"),
        ({"results_tab": True}, "need --sheet"),
        ({"credentials": Path("key.json")}, "need --sheet"),
        ({"file": Path(__file__), "protect": True}, "need --sheet"),
    ],
    ids=["no tab", "a title", "another site", "two sources", "a tab", "a key", "a protected file"],
)
def test_what_names_no_single_tab_is_refused(tmp_path, options, problem):
    with pytest.raises(BadSetting, match=problem):
        Settings.from_options({}, home=tmp_path, **options)
