"""The books whole: what the relay asks of them, each kind of question in a module of its own."""

from relay.ledger.accounts import Accounts
from relay.ledger.bookings import Bookings
from relay.ledger.history import History
from relay.ledger.lives import Lives
from relay.ledger.recovery import Recovery
from relay.ledger.source_book import SourceBook
from relay.ledger.versions import Versions


class Ledger(Versions, Accounts, Bookings, History, SourceBook, Lives, Recovery):
    """The books. Every method raises LedgerUnavailable when the database does not answer."""
