"""Give ids to the rows of a tab: write, look at the answer, put right what strayed, write again."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from connector.sheet_doubt import Doubt
from connector.sheet_errors import SheetMoving, SheetRefused
from connector.sheet_ids import MOST_GOES, Giving
from connector.sheet_plan import MOST_ROWS, header_holds, strays
from connector.sheet_tab import SheetTab
from connector.sheet_table import Table


@dataclass(slots=True)
class _Round:
    """Ids that are being given, and where they may be by now."""

    giving: Giving
    now: Table | None
    claims: Doubt = field(default_factory=Doubt)


class IdGiver:
    """*look* reads the tab anew, headings put back that an id replaced. Raises SheetError.

    What could not be finished is finished before anything else is done with the tab: an id that
    was written over is known here only.
    """

    def __init__(
        self,
        tab: SheetTab,
        look: Callable[[Doubt], Table],
        *,
        name: str,
        stats: Counter[str],
    ) -> None:
        self._tab = tab
        self._look = look
        self._name = name
        self._stats = stats
        self._open: _Round | None = None

    def give(self, table: Table, wanted: Mapping[int, str]) -> int:
        """Give ids to rows of *table*, MOST_ROWS at a time. Returns to how many."""
        given = 0
        while wanted:
            some = sorted(wanted)[:MOST_ROWS]
            giving = Giving(first=table, wanted={row: wanted[row] for row in some})
            self._open = _Round(giving, table)
            after = self.finish()
            assert after is not None
            present = {after.row_id(row) for row in after.body()}
            given += len(giving.new & present)
            rest = [row for row in sorted(wanted) if row not in giving.wanted]
            if not rest:
                break
            # The others are found again by what they say.
            now = self._look(Doubt())
            wanted, table = _found_again(table, wanted, rest, now), now
        return given

    def finish(self) -> Table | None:
        """Go on with what was begun until all is where it should be; the tab as it is then."""
        if self._open is None:
            return None
        for _ in range(MOST_GOES):
            done: Table | None = self._tab.calls.patiently(lambda: self._go(self._open))
            if done is not None:
                self._open = None
                return done
        raise SheetMoving(self._name)

    def _go(self, begun: _Round | None) -> Table | None:
        assert begun is not None
        here = begun.now if begun.now is not None else self._look(begun.claims)
        begun.now = None
        beside = begun.claims.beside(here)
        here = here.patched(beside)
        edits = begun.giving.next(here)
        for row, cells in beside.items():
            edits[row] = {**cells, **edits.get(row, {})}
        if not edits:
            return here
        begun.claims.add(here, edits)
        try:
            echo = self._tab.put(here, edits)
        except SheetRefused as error:
            allowed = self._tab.allowed(edits) if error.status == 400 else edits
            if len(allowed) == len(edits):
                raise
            # Protected rows stay without an id.
            if not allowed:
                return here
            edits = allowed
            echo = self._tab.put(here, edits)
        if not strays(here, edits, echo) and header_holds(here, echo.first, echo.header or []):
            after = here.patched(edits)
            if not begun.giving.next(after):
                return after
            # An id that had to be taken away first can now be given.
            begun.now = after
            return None
        self._stats["repairs"] += 1
        return None


def _found_again(
    then: Table, wanted: Mapping[int, str], rows: Sequence[int], now: Table
) -> dict[int, str]:
    """The *rows* of *then* in *now*, by all they say; what was edited meanwhile waits."""
    but_then = frozenset({then.columns.at["row_id"]})
    but_now = frozenset({now.columns.at["row_id"]})
    open_: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        open_.setdefault(then.rest(row, but_then), []).append(row)
    found: dict[int, str] = {}
    for row in now.body():
        if not now.row_id(row) and (several := open_.get(now.rest(row, but_now))):
            found[row] = wanted[several.pop(0)]
    return found
