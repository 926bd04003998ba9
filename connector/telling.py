"""Tell the relay of a pause where one is known here; this machine's own settings come first."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from connector import device_key
from connector.errors import ConnectorError
from connector.patience import Patience
from connector.relay_client import RelayClient
from connector.relay_errors import Refused, RelayError
from wire.errors import Malformed
from wire.signing import Credentials
from wire.source_models import SourcePatch

_BRIEF = Patience(attempts=2, seconds=3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Whether the relay knows now, and a sentence for people. *url* is blank when none is known."""

    is_told: bool
    sentence: str
    url: str = ""


def tell_pause(
    source_id: str,
    *,
    is_paused: bool,
    relay: str | None,
    home: Path,
    environ: Mapping[str, str],
) -> Told:
    """Have the relay refuse refreshes of a paused source, or take them again. Never raises."""
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
            client.patch_source(source_id, SourcePatch(paused=is_paused))
        finally:
            client.close()
    except Refused as error:
        if error.code in ("unknown_source", "not_found"):
            sentence = "the relay does not know this source yet; it will once an agent serves it"
            return Told(is_told=False, sentence=sentence, url=url)
        return Told(is_told=False, sentence=f"the relay was not told: {error}", url=url)
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
