"""A1 notation: columns as letters, tabs in quotes. Rows and columns count from 0 here."""


def letters(column: int) -> str:
    """``0`` is A, ``25`` is Z, ``26`` is AA."""
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def cell_name(row: int, column: int) -> str:
    """``(0, 0)`` is A1."""
    return f"{letters(column)}{row + 1}"


def quoted(tab: str) -> str:
    """A tab's title as a range names it; quoted always, since ``D3`` is a title too."""
    return "'" + tab.replace("'", "''") + "'"


def block(tab: str, row: int, column: int, last_row: int, last_column: int) -> str:
    """A rectangle, its ends included."""
    return f"{quoted(tab)}!{cell_name(row, column)}:{cell_name(last_row, last_column)}"


def open_column(tab: str, row: int, column: int) -> str:
    """A column from *row* to wherever it ends: an end that is named may be gone by then."""
    name = letters(column)
    return f"{quoted(tab)}!{name}{row + 1}:{name}"


def column_of(name: str) -> int:
    """``A`` is 0; the row's number behind it does not matter."""
    number = 0
    for letter in name.rstrip("0123456789"):
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def last_column(range_: str) -> int:
    """The last column of a range as Google spells it; -1 where it spells none."""
    return column_of(range_.rpartition("!")[2].rpartition(":")[2])


def runs(numbers: list[int], *, longest: int = 0) -> list[tuple[int, int]]:
    """Ascending *numbers* as (first, last) of each unbroken run, cut at *longest* where given."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if (
            found
            and found[-1][1] == number - 1
            and not (longest and number - found[-1][0] >= longest)
        ):
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
