"""What an agent was told: options first, then the environment, then what is usual here."""

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from agent.errors import BadSetting
from connector.errors import ConnectorError
from connector.home import home_of
from connector.registered import FilePlace, Mode, Place, SheetPlace
from connector.sheet_address import parse_address
from wire import ids

DEFAULT_RELAY: Final = "http://127.0.0.1:8790"

_SOURCE_ID = re.compile(ids.SOURCE_ID, re.ASCII)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings that exist hold: every fault was found when they were made."""

    home: Path
    relay: str
    allow: tuple[Network, ...] = ()
    cafile: Path | None = None
    place: Place | None = None
    name: str = ""
    source_id: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    mode: Mode = Mode.IN_PLACE
    credentials: Path | None = None
    protect: bool = False

    @classmethod
    def from_options(
        cls,
        environ: Mapping[str, str],
        *,
        relay: str | None = None,
        home: Path | None = None,
        allow_private: Sequence[str] = (),
        cafile: Path | None = None,
        file: Path | None = None,
        sheet: str | None = None,
        name: str = "",
        source_id: str | None = None,
        columns: Sequence[str] = (),
        results_tab: bool = False,
        credentials: Path | None = None,
        protect: bool = False,
    ) -> Self:
        """Put the settings together. Raises BadSetting that names every problem at once."""
        problems: list[str] = []
        allow = []
        for text in allow_private:
            try:
                allow.append(ipaddress.ip_network(text))
            except ValueError as error:
                problems.append(f"--allow-private {text}: {error}; write a network as 10.0.0.0/8")
        mapping: dict[str, str] = {}
        for pair in columns:
            ours, equals, theirs = pair.partition("=")
            if not equals or not ours.strip() or not theirs.strip():
                problems.append(f"--column {pair}: write it as tracking_url=Link")
            mapping[ours.strip()] = theirs.strip()
        if cafile is not None and not cafile.is_file():
            problems.append(f"--cafile {cafile}: there is no such file")
        if file is not None and not file.is_file():
            problems.append(f"--file {file}: there is no such file")
        place = _place(file, sheet, problems)
        if not file and not sheet and (source_id or columns):
            problems.append("--source-id and --column need --file or --sheet")
        if not sheet and (results_tab or credentials or protect):
            problems.append("--results-tab, --credentials and --protect need --sheet")
        if source_id is not None and not _SOURCE_ID.fullmatch(source_id):
            problems.append(f"--source-id {source_id}: expected src_ and letters or digits")
        if problems:
            raise BadSetting(tuple(problems))
        folder = home or home_of(environ)
        return cls(
            home=folder,
            relay=relay or environ.get("LINKROW_RELAY_URL") or _own_relay(folder),
            allow=tuple(allow),
            cafile=cafile,
            place=place,
            name=name,
            source_id=source_id,
            columns=mapping,
            mode=Mode.RESULTS_TAB if results_tab else Mode.IN_PLACE,
            credentials=credentials,
            protect=protect,
        )

    def spool_path(self, name: str) -> Path:
        """Where the results of the source or device called *name* wait."""
        return self.home / "agent" / "spool" / f"{name}.sqlite3"


def _place(file: Path | None, sheet: str | None, problems: list[str]) -> Place | None:
    """The one source that is to be served; None when it is what is registered here."""
    if file is not None and sheet:
        problems.append("--file and --sheet: one agent serves one of them")
    if file is not None:
        return FilePlace.of(file)
    if not sheet:
        return None
    try:
        found = parse_address(sheet)
    except ConnectorError as error:
        problems.append(f"--sheet: {error}")
        return None
    if not found.key or found.gid is None:
        problems.append(f"--sheet {sheet}: name one tab by its address, with #gid=… at its end")
        return None
    return SheetPlace(spreadsheet=found.key, gid=found.gid)


def _own_relay(home: Path) -> str:
    """The relay that is up in this data folder, else the usual address."""
    try:
        noted = json.loads((home / "relay" / "relay.json").read_text("utf-8"))
        return str(noted["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_RELAY
