"""What can go wrong with rows and where they are kept.

ConnectorError
    FileNotFound
    NotAFile
    UnsupportedFile
    EmptyFile
    NoHeader
    MissingColumn
    DuplicateColumn
    ColumnMeansTwo
    BadText
    UnclosedQuote
    RecordTooLong
    Unreadable
    NotWritable
    DiskFull
    Locked
    ChangedUnderneath
    AlreadyRunning
    SourceExists
    NameTaken
    UnknownSource
    AmbiguousSource
    NoSuchPlace
    Interrupted
    RelayNotStarted
    CredentialsUnusable
    NoCredentials
"""

from collections.abc import Sequence
from pathlib import Path


class ConnectorError(Exception):
    """Base of all. The sentence says what is so and what to do; *code* is for machines."""

    code = "connector_error"
    permanent = True
    mend_seconds = 0.0
    """How long a person may need to mend it; who has something to write waits at least so long."""


class FileNotFound(ConnectorError):
    """There is no such file."""

    code = "file_not_found"

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no file {path}")
        self.path = path


class NotAFile(ConnectorError):
    """A folder, a device or the like."""

    code = "not_a_file"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not a file")
        self.path = path


class UnsupportedFile(ConnectorError):
    """A kind of file that cannot be worked on."""

    code = "unsupported_file"

    def __init__(self, path: Path, advice: str) -> None:
        super().__init__(f"{path} is no CSV file; {advice}")
        self.path = path


class EmptyFile(ConnectorError):
    """Nothing is in it."""

    code = "empty_file"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is empty; it needs a header row and a column with links")
        self.path = path


class NoHeader(ConnectorError):
    """There are lines, but all of them are blank."""

    code = "no_header"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} has no header row; it needs one that names a column with links")
        self.path = path


class MissingColumn(ConnectorError):
    """A column that is needed is not there."""

    code = "missing_column"

    def __init__(self, column: str, wanted: str, headings: Sequence[str]) -> None:
        found = ", ".join(repr(heading[:40]) for heading in headings[:30] if heading) or "none"
        super().__init__(
            f"no column is headed {wanted!r}; the headings are {found}; "
            f"say which one it is: --column {column}=HEADING"
        )
        self.column = column
        self.headings = tuple(headings)


class DuplicateColumn(ConnectorError):
    """Two columns have the heading of one of ours."""

    code = "duplicate_column"

    def __init__(self, column: str, heading: str) -> None:
        super().__init__(
            f"two columns are headed {heading!r}; rename one, "
            f"or say which one is meant: --column {column}=HEADING"
        )
        self.column = column


class ColumnMeansTwo(ConnectorError):
    """One heading would be two of our columns: writing the one would overwrite the other."""

    code = "column_means_two"

    def __init__(self, heading: str, columns: Sequence[str]) -> None:
        super().__init__(
            f"the column headed {heading!r} cannot be {' and '.join(columns)} at once; "
            f"map each to a heading of its own: --column {columns[-1]}=HEADING"
        )
        self.columns = tuple(columns)


class BadText(ConnectorError):
    """The bytes are no text in any encoding we know."""

    code = "bad_text"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is no text file ({why}); export it anew as CSV")
        self.path = path


class UnclosedQuote(ConnectorError):
    """A quoted cell never ends."""

    code = "unclosed_quote"

    def __init__(self, row: int) -> None:
        super().__init__(f"the quote that opens in row {row} is never closed; nothing was changed")
        self.row = row


class RecordTooLong(ConnectorError):
    """A row is longer than any row can be; likely a quote that is closed far too late."""

    code = "record_too_long"

    def __init__(self, row: int) -> None:
        super().__init__(f"row {row} is over 8 MiB long; is a quote not closed there?")
        self.row = row


class Unreadable(ConnectorError):
    """The system does not let us read it."""

    code = "unreadable"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be read: {why}")
        self.path = path


class NotWritable(ConnectorError):
    """The system does not let us write it, now."""

    code = "not_writable"
    permanent = False

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be written ({why}); is it open in another program?")
        self.path = path


class DiskFull(ConnectorError):
    """There is no room for the new file; the old one stands."""

    code = "disk_full"
    permanent = False

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no room to write {path}; it is unchanged")
        self.path = path


class Locked(ConnectorError):
    """Another Linkrow process is writing it."""

    code = "locked"
    permanent = False

    def __init__(self, path: Path) -> None:
        super().__init__(f"another Linkrow process is writing {path}")
        self.path = path


class ChangedUnderneath(ConnectorError):
    """Somebody saves the file again and again while we want to write."""

    code = "changed_underneath"
    permanent = False

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is being changed all the time; try again when it rests")
        self.path = path


class AlreadyRunning(ConnectorError):
    """A run over this file or sheet is going on, or an agent serves it."""

    code = "already_running"

    def __init__(self, what: object, *, is_registered: bool = False) -> None:
        if is_registered:
            why = (
                f"an agent serves {what}, or another run works on it; ask the agent with "
                "linkrow refresh, or have it pause: linkrow source pause"
            )
        else:
            why = f"another run is working on {what}; let it finish, or stop it"
        super().__init__(why)
        self.what = what


class SourceExists(ConnectorError):
    """This place is registered already."""

    code = "source_exists"

    def __init__(self, name: str, source_id: str) -> None:
        super().__init__(
            f"it is registered already, as {name}; see linkrow source show {source_id}"
        )
        self.name = name
        self.source_id = source_id


class NameTaken(ConnectorError):
    """Another source is called that."""

    code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"another source is called {name!r}; choose another --name")
        self.name = name


class UnknownSource(ConnectorError):
    """No registered source is called that."""

    code = "unknown_source"

    def __init__(self, named: str, names: Sequence[str]) -> None:
        there = ", ".join(repr(name) for name in names[:20])
        super().__init__(
            f"no registered source is called {named!r}; "
            + (f"there are {there}" if names else "see linkrow source list")
        )
        self.named = named


class AmbiguousSource(ConnectorError):
    """Several registered sources are called that."""

    code = "ambiguous_source"

    def __init__(self, named: str, found: Sequence[tuple[str, str]]) -> None:
        several = "; ".join(f"{source_id} is {place}" for source_id, place in found[:10])
        super().__init__(f"{named!r} could be {len(found)} sources, say which by id: {several}")
        self.found = tuple(source_id for source_id, _ in found)


class NoSuchPlace(ConnectorError):
    """What was named is no file, and no sheet that we can find."""

    code = "no_such_place"

    def __init__(self, named: str, why: str) -> None:
        super().__init__(f"{named!r} {why}")
        self.named = named


class Interrupted(ConnectorError):
    """Whoever wanted the rows wants them no more."""

    code = "interrupted"
    permanent = False

    def __init__(self) -> None:
        super().__init__("stopped while the rows were read; nothing was changed")


class RelayNotStarted(ConnectorError):
    """Our own relay did not come up."""

    code = "relay_not_started"

    def __init__(self, why: str) -> None:
        super().__init__(f"no relay: {why}")


class CredentialsUnusable(ConnectorError):
    """A key is there but must not or cannot be used."""

    code = "credentials_unusable"

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"the key in {where} cannot be used: {why}")
        self.where = where
        self.why = why


class NoCredentials(ConnectorError):
    """There is no key to sign requests with. *path* is the last place that was looked into."""

    code = "no_credentials"

    def __init__(self, path: Path) -> None:
        super().__init__(
            "there is no key to sign with; set LINKROW_API_KEY and LINKROW_API_SECRET, "
            "or LINKROW_API_KEY_FILE to a private file that holds key_id and secret as JSON; "
            f"{path} is not there either"
        )
        self.path = path
