"""Secrets at rest open with their master key, for their key, unaltered, and not otherwise."""

import base64
import stat
from pathlib import Path

import pytest

from relay.errors import BadMasterKey
from relay.secret_box import SecretBox, load_master_key, make_master_key, parse_master_key

BOX = SecretBox(bytes(range(32)))


def test_what_was_sealed_opens_again() -> None:
    sealed = BOX.seal("lrs_geheim", key_id="lrk_1")

    assert BOX.open(sealed, key_id="lrk_1") == "lrs_geheim"
    assert b"geheim" not in sealed
    assert sealed != BOX.seal("lrs_geheim", key_id="lrk_1")


def test_another_keys_secret_does_not_open() -> None:
    sealed = BOX.seal("lrs_geheim", key_id="lrk_1")

    with pytest.raises(BadMasterKey):
        BOX.open(sealed, key_id="lrk_2")


def test_another_master_key_does_not_open_it() -> None:
    sealed = BOX.seal("lrs_geheim", key_id="lrk_1")

    with pytest.raises(BadMasterKey, match="lrk_1"):
        SecretBox(bytes(32)).open(sealed, key_id="lrk_1")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda sealed: b"", id="nothing"),
        pytest.param(lambda sealed: sealed[:5], id="less than a nonce"),
        pytest.param(lambda sealed: sealed[:20], id="cut short"),
        pytest.param(lambda sealed: sealed + b"x", id="longer"),
        pytest.param(lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]), id="one bit"),
        pytest.param(lambda sealed: "\N{SNOWMAN}".encode() * 9, id="a snowman"),
    ],
)
def test_damaged_bytes_raise_our_error(damage) -> None:
    with pytest.raises(BadMasterKey):
        BOX.open(damage(BOX.seal("lrs_geheim", key_id="lrk_1")), key_id="lrk_1")


def test_its_repr_holds_no_key() -> None:
    assert "key=" not in repr(BOX)


@pytest.mark.parametrize(
    "text",
    [
        "", "garbage", "1e9", "\N{SNOWMAN}", base64.b64encode(b"x" * 31).decode(),
        base64.b64encode(b"x" * 33).decode(), "A" * 10_000,
    ],
)  # fmt: skip
def test_a_text_that_is_no_master_key_raises_our_error(text: str) -> None:
    with pytest.raises(BadMasterKey):
        parse_master_key(text)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"garbage\n"])
def test_a_file_that_holds_no_master_key_raises_our_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "master.key").write_bytes(content)

    with pytest.raises(BadMasterKey):
        load_master_key(None, tmp_path / "master.key")


def test_a_file_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "master.key"

    assert make_master_key(path)
    key = load_master_key(None, path)

    assert not make_master_key(path)
    assert load_master_key(None, path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["master.key"]


def test_a_key_that_was_given_wins_over_the_file(tmp_path: Path) -> None:
    make_master_key(tmp_path / "master.key")
    given = base64.b64encode(bytes(32)).decode() + "\n"

    assert load_master_key(given, tmp_path / "master.key") == bytes(32)
