"""Cells that a spreadsheet would run as a formula, made text, and back.

The list is OWASP's (https://owasp.org/www-community/attacks/CSV_Injection) with full-width forms,
invisible characters, separators and second lines, behind which a formula may hide.
"""

import re
from typing import Final

_STARTS: Final = "=+\\-@|\uff1d\uff0b\uff0d\uff20"
# What may stand before a formula without hindering it: blanks, controls, invisible characters,
# separators of other locales, quotes.
_BEFORE: Final = (
    "\\s\x00-\x1f\x7f\u00a0\u00ad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u3000\ufeff;,'\""
)
# Each line is looked at once: a run of blank lines must not be walked again from each of them.
_FORMULA = re.compile(rf"(?:^|[\r\n])(?:(?![\r\n])[{_BEFORE}])*+[{_STARTS}]|^[\t\r\n]")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might run *text*, or a line of it."""
    return _FORMULA.search(text) is not None


def neutralise(text: str) -> str:
    """*text* so that it is only text: with a ``'`` in front where it might be run."""
    return "'" + text if is_formula(text) else text


def restore(text: str) -> str:
    """What was neutralised."""
    return text[1:] if text.startswith("'") and is_formula(text[1:]) else text
