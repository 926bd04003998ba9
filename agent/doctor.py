"""Look at everything an agent needs, and say what is wrong with each and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent import credentials as device_key
from agent.errors import AgentError, SpoolBusy
from agent.settings import Settings
from agent.spool import Spool
from connector.errors import ConnectorError
from connector.opening import open_source
from connector.patience import Patience
from connector.registered import RegisteredSource
from connector.registry import Registry
from connector.relay_client import RelayClient
from connector.relay_errors import RelayError
from wire.models import RenewRequest
from wire.signing import Credentials
from wire.vocab import SourceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    is_well: bool
    detail: str


def examine(settings: Settings, *, environ: Mapping[str, str]) -> list[Finding]:
    """Every finding; nothing is changed and nothing is raised."""
    found, key = _key(settings, environ)
    return [key, *_relay(settings, found), *_spools(settings), *_sources(settings, environ)]


def _key(settings: Settings, environ: Mapping[str, str]) -> tuple[Credentials | None, Finding]:
    try:
        found = device_key.find(environ, settings.home, relay=settings.relay)
    except (AgentError, ConnectorError) as error:
        return None, Finding(what="device key", is_well=False, detail=str(error))
    return found, Finding(what="device key", is_well=True, detail=found.key_id)


def _relay(settings: Settings, found: Credentials | None) -> list[Finding]:
    """Whether it answers, and whether it takes our signature."""
    client = None
    try:
        client = RelayClient(
            settings.relay,
            found or Credentials(key_id="", secret=""),
            patience=Patience(attempts=1),
        )
        client.health()
        findings = [Finding(what="relay", is_well=True, detail=f"{settings.relay} answers")]
        if found:
            client.renew(RenewRequest())
            findings.append(Finding(what="signature", is_well=True, detail="accepted"))
    except RelayError as error:
        return [Finding(what="relay", is_well=False, detail=str(error))]
    else:
        return findings
    finally:
        if client:
            client.close()


def _spools(settings: Settings) -> list[Finding]:
    findings = []
    for path in sorted(settings.spool_path("any").parent.glob("*.sqlite3")):
        what = f"spool {path.stem}"
        try:
            with Spool(path) as spool:
                detail = f"{len(spool)} results wait" if len(spool) else "empty"
                findings.append(Finding(what=what, is_well=True, detail=detail))
        except SpoolBusy:
            findings.append(Finding(what=what, is_well=True, detail="in use by an agent"))
        except AgentError as error:
            findings.append(Finding(what=what, is_well=False, detail=str(error)))
    return findings


def _sources(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """What is registered; a sheet is not asked, which takes its time and calls."""
    try:
        registered = Registry(settings.home).registered()
    except ConnectorError as error:
        return [Finding(what="sources", is_well=False, detail=str(error))]
    return [_source(each, settings, environ) for each in registered]


def _source(entry: RegisteredSource, settings: Settings, environ: Mapping[str, str]) -> Finding:
    what = f"source {entry.name}"
    if entry.is_paused:
        return Finding(what=what, is_well=True, detail="paused")
    if entry.kind is SourceKind.SHEET:
        detail = f"a sheet; linkrow source check {entry.source_id} looks at it"
        return Finding(what=what, is_well=True, detail=detail)
    try:
        open_source(entry, home=settings.home, environ=environ).check()
    except ConnectorError as error:
        return Finding(what=what, is_well=False, detail=str(error))
    return Finding(what=what, is_well=True, detail=str(entry.place))
