"""Google Sheets' API as gspread and google-auth speak it: the only file that knows them."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import google.auth
import google.oauth2.credentials
import google.oauth2.service_account
import gspread
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import AuthorizedSession, Request

from connector.registered import Mode
from connector.sheet_about import FoundTab, place_of
from connector.sheet_address import parse_address, parse_tab
from connector.sheet_errors import (
    LoginMissing,
    LoginRevoked,
    SeveralSheets,
    SheetLogin,
    SheetNotFound,
    SheetUnreachable,
)
from connector.sheet_google import DRIVE, SHEETS, GoogleCalls
from connector.sheet_keeper import SheetKeeper
from connector.sheet_patience import USUAL, SheetPatience
from connector.sheet_quota import Kind, Quota, quota_of
from connector.sheet_refusals import refusal_of

__all__ = ["FoundTab", "Mode", "SheetSource", "find_sheet"]

_SCOPES: Final = (
    "https://www.googleapis.com/auth/spreadsheets",
    "https://www.googleapis.com/auth/drive.metadata.readonly",  # to find a sheet by its title
)
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SOON: Final = (10.0, 60.0)
_BULK: Final = (10.0, 190.0)  # Google gives up on a request after 180 s


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """As whom we call. *address* is with whom a sheet has to be shared, where that is known."""

    credentials: Credentials = field(repr=False)
    address: str = ""
    project: str = ""
    base: str = ""


class SheetsHttp(gspread.HTTPClient):
    """gspread's way out, with a time-out, a base address and a count; sends once, never again."""

    def __init__(self, login: Login, quota: Quota, *, wall: Callable[[], datetime]) -> None:
        session = _session(login)
        super().__init__(login.credentials, session)
        self.calls: Counter[str] = Counter()
        self.what = "this"
        self._login = login
        self._quota = quota
        self._wall = wall

    def request(
        self,
        method: str,
        endpoint: str,
        params: Any = None,
        data: Any = None,
        json: Any = None,
        files: Any = None,
        headers: Any = None,
    ) -> Any:
        """Send one call. Raises SheetError, of which SheetBusy are worth another try."""
        kind = kind_of(method, endpoint)
        self._quota.take(kind)
        self.calls[kind] += 1
        self.timeout = _BULK if "/values" in endpoint or ":batchUpdate" in endpoint else _SOON
        try:
            response = self.session.request(
                method=method,
                url=rebased(endpoint, self._login.base),
                params=params,
                data=data,
                json=json,
                files=files,
                headers=headers,
                timeout=self.timeout,
            )
        except RefreshError as error:
            if error.retryable:
                raise SheetUnreachable(f"no token: {_first_words(error)}") from error
            raise LoginRevoked(self._login.address, _first_words(error)) from error
        except TransportError as error:
            raise SheetUnreachable(f"no token: {_first_words(error)}") from error
        except GoogleAuthError as error:
            raise LoginRevoked(self._login.address, _first_words(error)) from error
        except OSError as error:  # all that requests raises is one
            raise SheetUnreachable(type(error).__name__) from error
        if response.ok:
            return response
        raise refusal_of(
            response.status_code,
            response.text,
            retry_after=response.headers.get("Retry-After"),
            now=self._wall(),
            what=self.what,
            address=self._login.address,
            is_write=kind == "write",
        )


class SheetSource(SheetKeeper):
    """One tab as a keeper of rows. *columns*: how it heads our columns, where that differs.

    Thread-safe: a writer and a reader may use it at once. *home* is where the lock between
    processes lies. No call is made before the first method. Every method raises ConnectorError.
    """

    def __init__(
        self,
        spreadsheet_id: str,
        gid: int,
        *,
        source_id: str,
        home: Path,
        environ: Mapping[str, str],
        name: str = "",
        columns: Mapping[str, str] | None = None,
        mode: Mode = Mode.IN_PLACE,
        credentials: Path | None = None,
        protect: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: SheetPatience = USUAL,
        quota: Quota | None = None,
    ) -> None:
        def calls() -> GoogleCalls:
            login = log_in(credentials, environ)
            limits = quota or quota_of(login.project, login.address)
            return GoogleCalls(
                spreadsheet_id,
                SheetsHttp(login, limits, wall=wall),
                address=login.address,
                clock=clock,
                sleep=sleep,
                wall=wall,
                patience=patience,
            )

        super().__init__(
            calls,
            spreadsheet_id,
            gid,
            source_id=source_id,
            home=home,
            name=name,
            columns=columns or {},
            mode=mode,
            protect=protect,
            clock=clock,
            sleep=sleep,
            wall=wall,
        )


def find_sheet(
    address: str,
    *,
    tab: str = "",
    credentials: Path | None = None,
    environ: Mapping[str, str],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    wall: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> FoundTab:
    """The tab that *address* (URL, key or title) and *tab* (gid or title) name.

    Without a tab it is the first one. Raises ConnectorError (`connector/sheet_errors.py`).
    """
    named = parse_address(address)
    login = log_in(credentials, environ)

    def calls(key: str) -> GoogleCalls:
        http = SheetsHttp(login, quota_of(login.project, login.address), wall=wall)
        return GoogleCalls(key, http, address=login.address, clock=clock, sleep=sleep, wall=wall)

    key = named.key
    if not key:
        seeker = calls("-")
        try:
            keys = seeker.titled(named.title)
        finally:
            seeker.close()
        if len(keys) > 1:
            raise SeveralSheets(named.title, len(keys))
        if not keys:
            raise SheetNotFound(f"called {named.title!r}", login.address)
        key = keys[0]
    found = calls(key)
    try:
        return place_of(found, parse_tab(tab), named.gid)
    finally:
        found.close()


def log_in(file: Path | None, environ: Mapping[str, str]) -> Login:
    """The credentials of *file*, else those that google-auth and gspread look for.

    In this order: GOOGLE_APPLICATION_CREDENTIALS, gspread's service_account.json and
    authorized_user.json, and what this machine is logged in with (gcloud, a metadata server).
    Raises SheetLogin.
    """
    base = _base(environ)
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if file is None and named:
        file = Path(named)
    if file is not None:
        return _from_file(file.expanduser(), base)
    if base:
        # Nobody's real credentials go to a stand-in by accident.
        return Login(credentials=AnonymousCredentials(), base=base)  # type: ignore[no-untyped-call]
    folder = _gspread_folder(environ)
    for usual in (folder / "service_account.json", folder / "authorized_user.json"):
        if usual.is_file():
            return _from_file(usual, base)
    try:
        credentials, project = google.auth.default(scopes=_SCOPES)
    except GoogleAuthError as error:
        raise LoginMissing from error
    address = str(getattr(credentials, "service_account_email", "") or "")
    return Login(
        credentials=credentials,
        address="" if address == "default" else address,
        project=str(project or ""),
    )


def _from_file(file: Path, base: str) -> Login:
    try:
        info = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SheetLogin(str(file), error.strerror or type(error).__name__) from error
    except (ValueError, RecursionError) as error:
        raise SheetLogin(str(file), "it is no JSON file") from error
    kind = info.get("type") if isinstance(info, dict) else None
    try:
        if kind == "service_account":
            if base:
                info["token_uri"] = f"{base}/token"
            maker = _StandIn if base else google.oauth2.service_account.Credentials
            made = maker.from_service_account_info(  # type: ignore[no-untyped-call]
                info, scopes=_SCOPES
            )
            return Login(
                credentials=made,
                address=str(info["client_email"]),
                project=str(info.get("project_id") or ""),
                base=base,
            )
        if isinstance(info, dict) and (kind == "authorized_user" or "refresh_token" in info):
            user = google.oauth2.credentials.Credentials(  # type: ignore[no-untyped-call]
                None,
                refresh_token=info["refresh_token"],
                client_id=info["client_id"],
                client_secret=info["client_secret"],
                token_uri=f"{base}/token" if base else "https://oauth2.googleapis.com/token",
                quota_project_id=info.get("quota_project_id"),
            )
            return Login(
                credentials=user,
                address=str(info.get("account") or ""),
                project=str(info.get("quota_project_id") or info["client_id"]),
                base=base,
            )
    except (ValueError, KeyError, TypeError, GoogleAuthError) as error:
        # Never the text of the error: it may quote the key.
        raise SheetLogin(str(file), "it is damaged; download it anew") from error
    if isinstance(info, dict) and ("installed" in info or "web" in info):
        raise SheetLogin(
            str(file), "it names an app and no account; use a service account's key file"
        )
    raise SheetLogin(str(file), "it is neither a service account's key nor an authorized user's")


class _StandIn(google.oauth2.service_account.Credentials):
    """A login at a stand-in: newer google-auth would ask Google itself something beside it."""

    def _is_regional_access_boundary_lookup_required(self) -> bool:
        return False


def _base(environ: Mapping[str, str]) -> str:
    base = environ.get("LINKROW_SHEETS_API", "").rstrip("/")
    if base and urlsplit(base).hostname not in _LOOPBACK:
        raise SheetLogin("LINKROW_SHEETS_API", "it is for a stand-in on this machine only")
    return base


def _gspread_folder(environ: Mapping[str, str]) -> Path:
    if os.name == "nt" and environ.get("APPDATA"):
        return Path(environ["APPDATA"], "gspread")
    home = environ.get("HOME")
    return Path(home, ".config", "gspread") if home else Path.home() / ".config" / "gspread"


def _session(login: Login) -> AuthorizedSession:
    asking = Request()
    session = AuthorizedSession(login.credentials, auth_request=asking)  # type: ignore[no-untyped-call]
    if login.base:
        # A proxy of the environment cannot reach this machine's own loopback.
        session.trust_env = False
        asking.session.trust_env = False
    return session


def kind_of(method: str, endpoint: str) -> Kind:
    """Which quota of Google's a call is counted against."""
    if not endpoint.startswith(SHEETS):
        return "drive"
    is_read = method.lower() == "get" or endpoint.endswith("GetByDataFilter")
    return "read" if is_read else "write"


def rebased(endpoint: str, base: str) -> str:
    """*endpoint* at *base* instead of Google's hosts, where there is a base."""
    for host in (SHEETS, DRIVE):
        if base and endpoint.startswith(host + "/"):
            return base + endpoint[len(host) :]
    return endpoint


def _first_words(error: Exception) -> str:
    # The first argument is a sentence; the second is the whole answer.
    return " ".join(str(error.args[0] if error.args else error).split())[:200]
