"""How wide a column must be for its text, and how tall a row: for autoResizeDimensions."""

from tests.emulators.sheets.gridrange import Dimension
from tests.emulators.sheets.rendering import Rendering, render
from tests.emulators.sheets.sheet import Sheet

# Advance widths of Arial, in thousandths of its size.
_WIDTHS = {
    " !,./:;I[\\]ft": 278,
    "'ijl|": 222,
    "()-r`": 333,
    '"': 355,
    "*": 389,
    "+<=>~": 584,
    "^": 469,
    "abdeghnopqu0123456789#$?L_": 556,
    "J": 500,
    "ckvsxyz": 500,
    "{}": 334,
    "ABEKPSVXY&": 667,
    "CDHNRUw": 722,
    "FTZ": 611,
    "GOQ": 778,
    "m": 833,
    "M": 833,
    "W": 944,
    "%": 889,
    "@": 1015,
}
_BY_LETTER = {letter: width for letters, width in _WIDTHS.items() for letter in letters}
_WIDE = 1000
_NORMAL = 556
# Measured: 1,024 times the letter A in the usual format is 8,691 pixels.
_EM = (8691 - 3) / 1024 / 0.667
_PADDING = 3
_USUAL_FONT = 10
_LINE = 21


def fitting(sheet: Sheet, dimension: Dimension, index: int) -> int | None:
    """Pixels; None where nothing is in the column, so that it goes back to the usual size."""
    if dimension is Dimension.ROWS:
        texts = [render(cell, Rendering()) for cell in sheet.grid.row(index)]
        lines = max((str(text).count("\n") + 1 for text in texts if text != ""), default=1)
        return None if lines == 1 else lines * (_LINE - 3) + 3
    widest = 0.0
    for r in range(len(sheet.grid.rows)):
        cell = sheet.grid.cell(r, index)
        text = str(render(cell, Rendering()))
        if cell is not None and text:
            font = ((cell.format or {}).get("textFormat") or {}).get("fontSize", _USUAL_FONT)
            widest = max(widest, *(width(line) * font / _USUAL_FONT for line in text.split("\n")))
    return None if not widest else round(widest + _PADDING)


def width(text: str) -> float:
    return sum(
        _BY_LETTER.get(letter, _WIDE if ord(letter) > 0x2E7F else _NORMAL) for letter in text
    ) * (_EM / 1000)
