"""What can go wrong with a Google Sheet, each with what to do about it.

SheetError
    BadSheetAddress
    SheetNotFound
    SheetNotShared
    SheetReadOnly
    SeveralSheets
    TabNotFound
    NoHeaderRow
    HeaderMerged
    ColumnProtected
    SheetTooFull
    SheetRefused
    ApiDisabled
    SheetLogin
        LoginMissing
        LoginRevoked
    SheetBusy
        SheetLocked
        SheetMoving
        SheetQuota
        SheetUnreachable
"""

from connector.errors import ConnectorError

_CREDENTIALS = (
    "give a service account's key file with --credentials FILE, "
    "or name it in GOOGLE_APPLICATION_CREDENTIALS"
)


class SheetError(ConnectorError):
    """Base of what goes wrong with sheets."""

    code = "sheet_error"
    mend_seconds = 600.0


class BadSheetAddress(SheetError):
    """Neither a Google Sheets URL, nor a key, nor a title."""

    code = "bad_sheet_address"

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"{text[:120]!r} names no sheet: {why}")


class SheetNotFound(SheetError):
    """Google knows no such sheet, or does not tell us of it."""

    code = "sheet_not_found"

    def __init__(self, what: str, address: str) -> None:
        super().__init__(
            f"Google finds no sheet {what}; check the address, and {share_with(address)}"
        )


class SheetNotShared(SheetError):
    """The sheet is there, but not for us."""

    code = "sheet_not_shared"

    def __init__(self, what: str, address: str) -> None:
        super().__init__(f"{what} is not shared with Linkrow; {share_with(address)}")


class SheetReadOnly(SheetError):
    """We may look at the sheet and no more."""

    code = "sheet_read_only"

    def __init__(self, what: str, address: str) -> None:
        super().__init__(
            f"Linkrow may only read {what}; make {address or 'the account of these credentials'} "
            "an editor of it (Share, then Editor)"
        )


class SeveralSheets(SheetError):
    """A title that several sheets have."""

    code = "several_sheets"

    def __init__(self, title: str, count: int) -> None:
        super().__init__(f"{count} sheets are called {title!r}; name the one meant by its URL")


class TabNotFound(SheetError):
    """The tab is not there (any more)."""

    code = "tab_not_found"

    def __init__(self, what: str, tabs: list[str]) -> None:
        have = ", ".join(repr(tab[:40]) for tab in tabs[:20]) or "none"
        super().__init__(
            f"the sheet has no tab {what}; its tabs are {have}; "
            "was it deleted? Undo that, or add the tab that is meant now as a source"
        )


class NoHeaderRow(SheetError):
    """A tab without any content."""

    code = "no_header_row"

    def __init__(self, tab: str) -> None:
        super().__init__(
            f"the tab {tab!r} is empty; it needs a header row that names a column tracking_url"
        )


class HeaderMerged(SheetError):
    """A cell of the header covers several columns or rows."""

    code = "header_merged"

    def __init__(self, cell: str) -> None:
        super().__init__(
            f"the header cell {cell} is merged with its neighbours, so it is not clear what each "
            "column is; unmerge it (Format > Merge cells > Unmerge) and give each its heading"
        )


class ColumnProtected(SheetError):
    """A column that takes results may not be edited by us."""

    code = "column_protected"

    def __init__(self, heading: str, address: str) -> None:
        super().__init__(
            f"the column {heading!r} is protected against Linkrow; allow "
            f"{address or 'its account'} to edit it (Data > Protect sheets and ranges)"
        )


class SheetTooFull(SheetError):
    """There is no room for what we must add."""

    code = "sheet_too_full"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the sheet has no room for Linkrow's columns ({why}); "
            "delete empty rows and columns, or move the tab to a sheet of its own"
        )


class SheetRefused(SheetError):
    """Google refuses a call, and says why."""

    code = "sheet_refused"

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"Google refuses with status {status}: {why[:300]}")
        self.status = status
        # A row, a column or the tab's name that was there a moment ago.
        self.is_out_of_place = status == 400 and (
            "exceeds grid limits" in why or "Unable to parse range" in why
        )


class ApiDisabled(SheetError):
    """The project of these credentials may not use the Sheets API yet."""

    code = "sheet_api_disabled"

    def __init__(self, why: str) -> None:
        super().__init__(
            "the Google Sheets API is not enabled in the project of these credentials; enable it "
            f"in the Google Cloud console and wait some minutes. Google says: {why[:300]}"
        )


class SheetLogin(SheetError):
    """Credentials that cannot be used."""

    code = "sheet_login"

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"the Google credentials in {where} cannot be used: {why}")


class LoginMissing(SheetLogin):
    """No credentials anywhere."""

    code = "sheet_login_missing"

    def __init__(self) -> None:
        ConnectorError.__init__(self, f"there are no Google credentials; {_CREDENTIALS}")


class LoginRevoked(SheetLogin):
    """Google does not take these credentials any more."""

    code = "sheet_login_revoked"

    def __init__(self, address: str, why: str) -> None:
        ConnectorError.__init__(
            self,
            f"Google does not accept the credentials of {address or 'this account'} ({why[:200]}); "
            f"make a new key, then {_CREDENTIALS}",
        )


class SheetBusy(SheetError):
    """What may pass by itself; nothing is lost by trying again."""

    code = "sheet_busy"
    permanent = False
    status = 0
    retry_after: float | None = None


class SheetLocked(SheetBusy):
    """Another Linkrow process is writing the tab."""

    code = "sheet_locked"

    def __init__(self, name: str) -> None:
        super().__init__(f"another Linkrow process is writing {name}")


class SheetMoving(SheetBusy):
    """People move rows again and again while we want to write."""

    code = "sheet_moving"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the rows of {name} are being moved all the time; trying again when it rests "
            "(a tab that is sorted all day is better served in results-tab mode)"
        )


class SheetQuota(SheetBusy):
    """Google's quota is gone, and stayed gone."""

    code = "sheet_quota"

    def __init__(self, limit: str) -> None:
        super().__init__(
            f"Google's quota is used up ({limit or 'requests per minute'}); "
            "Linkrow tries again; other programs with the same credentials use it too"
        )


class SheetUnreachable(SheetBusy):
    """Google does not answer, or not as it should."""

    code = "sheet_unreachable"

    def __init__(self, why: str) -> None:
        super().__init__(f"Google Sheets does not answer as it should ({why[:200]}); trying again")


def share_with(address: str) -> str:
    """What the owner of a sheet has to do."""
    return f"share it with {address or 'the account of these credentials'} as editor"
