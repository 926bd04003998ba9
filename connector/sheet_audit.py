"""Find results that stand in a row that is not theirs, and say what to do about it. Pure.

``check_ref`` beside a result names the row it belongs to. Where it names another one, a process
died between a write and its check, or somebody sorted some columns without the others, edited an
id, or copied a row.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Final

from connector.sheet_table import CHECK_REF, OURS, Edits, Table

PAUSED: Final = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """*misplaced* results stood beside other rows.

    *moved* rows got their own results back, *cleared* ones lost those of others.
    """

    rows: int = 0
    misplaced: int = 0
    moved: int = 0
    cleared: int = 0
    cleared_ids: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether every result stood in its own row."""
        return not (self.moved or self.cleared)

    @property
    def sentence(self) -> str:
        """What was done, for people."""
        if self.is_clean:
            return f"every result stands in its own row ({self.rows} rows)"
        said = []
        if self.moved:
            said.append(f"{self.moved} results were brought back into their rows")
        if self.cleared:
            said.append(
                f"{self.cleared} rows held another row's result and were cleared; "
                "refresh the source to fill them"
            )
        return "; ".join(said)


def audit(table: Table) -> tuple[Audit, Edits]:
    """What is wrong, and the edits that put it right."""
    at = table.columns.at
    if CHECK_REF not in at:
        return Audit(rows=sum(1 for _ in table.body())), {}
    wrong: list[int] = []
    bare: list[int] = []
    bearers: dict[str, list[int]] = defaultdict(list)
    owners: Counter[str] = Counter()
    count = 0
    for row in table.body():
        count += 1
        ref, owner = table.ref(row), table.owner(row)
        owners[owner] += 1
        if ref:
            bearers[ref].append(row)
        if ref != owner:
            (wrong if ref else bare).append(row)
    edits: Edits = {}
    moved, cleared = 0, []
    for row in (*wrong, *bare):
        owner = table.owner(row)
        own = bearers.get(owner, []) if table.row_id(row) and owners[owner] == 1 else []
        source = own[0] if len(own) == 1 else None
        if source is None and not table.ref(row):
            continue  # nobody said whose these are
        texts = {name: "" if source is None else table.text(source, name) for name in OURS}
        if table.text(row, "check_status").strip().casefold() == PAUSED:
            del texts["check_status"]
        if source is None:
            cleared.append(table.row_id(row))
        else:
            moved += 1
        edits[row] = {
            at[name]: text
            for name, text in texts.items()
            if name in at and (text != table.text(row, name) or name == CHECK_REF)
        }
    found = Audit(
        rows=count,
        misplaced=len(wrong),
        moved=moved,
        cleared=len(cleared),
        cleared_ids=tuple(each for each in cleared if each)[:100],
    )
    return found, edits
