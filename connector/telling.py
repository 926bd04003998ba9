"""Tell the relay of a source, where one is known here; this machine's settings come first."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from connector import device_key
from connector.errors import ConnectorError
from connector.patience import Patience
from connector.registered import RegisteredSource
from connector.relay_client import RelayClient
from connector.relay_errors import RelayError
from wire.errors import Malformed
from wire.signing import Credentials
from wire.source_models import SourcePatch, SourceRequest

_BRIEF = Patience(attempts=2, seconds=3.0)
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Whether the relay knows now, and a sentence for people. *url* is blank when none is known."""

    is_told: bool
    sentence: str
    url: str = ""

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {"told": self.is_told, "url": self.url or None, "detail": self.sentence}


def introduction(entry: RegisteredSource) -> SourceRequest:
    """What the relay may know of a source: neither where it is nor how we get in."""
    name = "".join(letter for letter in entry.name if letter.isprintable())[:_LONGEST_NAME]
    return SourceRequest(
        source_id=entry.source_id,
        kind=entry.kind,
        name=name or None,
        max_age_seconds=int(entry.max_age.total_seconds()) if entry.max_age else None,
    )


def tell_source(
    entry: RegisteredSource, *, relay: str | None, home: Path, environ: Mapping[str, str]
) -> Told:
    """Make the source known, so that a refresh may wait for an agent. Never raises."""
    return _tell(lambda client: client.make_source(introduction(entry)), relay, home, environ)


def tell_pause(
    entry: RegisteredSource,
    *,
    is_paused: bool,
    relay: str | None,
    home: Path,
    environ: Mapping[str, str],
) -> Told:
    """Have the relay refuse refreshes of a paused source, or take them again. Never raises."""

    def tell(client: RelayClient) -> None:
        client.make_source(introduction(entry))
        client.patch_source(entry.source_id, SourcePatch(paused=is_paused))

    return _tell(tell, relay, home, environ)


def _tell(
    tell: Callable[[RelayClient], object],
    relay: str | None,
    home: Path,
    environ: Mapping[str, str],
) -> Told:
    url = relay or environ.get("LINKROW_RELAY_URL") or relay_of(home)
    if not url:
        return Told(is_told=False, sentence="no relay is known here, so none was told")
    try:
        found = _credentials(home, environ)
        if found is None:
            why = "there is no device key here (LINKROW_DEVICE_KEY and LINKROW_DEVICE_SECRET)"
            return Told(is_told=False, sentence=f"the relay was not told: {why}", url=url)
        client = RelayClient(url, found, patience=_BRIEF)
        try:
            tell(client)
        finally:
            client.close()
    except (RelayError, ConnectorError, Malformed, ValueError) as error:
        return Told(is_told=False, sentence=f"the relay was not told: {error}", url=url)
    return Told(is_told=True, sentence=f"the relay at {url} knows", url=url)


def relay_of(home: Path) -> str:
    """The relay that is up in this data folder, or blank."""
    try:
        noted = json.loads((home / "relay" / "relay.json").read_text("utf-8"))
        return str(noted["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _credentials(home: Path, environ: Mapping[str, str]) -> Credentials | None:
    return (
        device_key.from_environ(environ)
        or device_key.from_file(home / "agent" / device_key.FILE_NAME)
        or device_key.from_file(home / "relay" / device_key.FILE_NAME)
    )
