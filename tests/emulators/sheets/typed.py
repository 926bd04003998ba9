"""What a text means when a person types it into a cell: number, date, percent, money, formula."""

import re
from datetime import datetime
from typing import NamedTuple

from tests.emulators.sheets.cell import Value
from tests.emulators.sheets.serials import serial


class Typed(NamedTuple):
    """`format` is the number format that such a text brings along."""

    value: Value = None
    formula: str | None = None
    format: dict[str, str] | None = None
    link: str | None = None


_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)\Z")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?\Z")
_SCIENTIFIC = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+\Z")
_MONEY = re.compile(r"([+-]?)\s*([$€£¥])\s*([+-]?)(.+)\Z")
_MONEY_AFTER = re.compile(r"(.+?)\s*([€£¥])\Z")
_URL = re.compile(r"(?:https?|ftp)://[^\s/?#]+\.[^\s]*\Z|mailto:[^\s@]+@[^\s]+\Z", re.IGNORECASE)

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec|january|february|march|april"
_MONTH += r"|june|july|august|september|october|november|december)"
_I = re.IGNORECASE
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(\.\d+)?)?(?:\s*([ap])\.?m\.?)?\Z", re.IGNORECASE)
_DATES = (
    (re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})\Z"), "yyyy-mm-dd"),
    (re.compile(r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})\Z"), "yyyy/mm/dd"),
    (re.compile(r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4}|\d{2})\Z"), "m/d/yyyy"),
    (re.compile(r"(?P<m>\d{1,2})-(?P<d>\d{1,2})-(?P<y>\d{4}|\d{2})\Z"), "m-d-yyyy"),
    (re.compile(r"(?P<m>\d{1,2})/(?P<d>\d{1,2})\Z"), "m/d"),
    (re.compile(rf"(?P<mn>{_MONTH})\.? (?P<d>\d{{1,2}}),? (?P<y>\d{{4}})\Z", _I), "mmm d, yyyy"),
    (re.compile(rf"(?P<d>\d{{1,2}})[ -](?P<mn>{_MONTH})[ -](?P<y>\d{{4}})\Z", _I), "d mmm yyyy"),
    (re.compile(rf"(?P<mn>{_MONTH}) (?P<y>\d{{4}})\Z", _I), "mmm yyyy"),
)


def read(text: str, year: int = 2026) -> Typed:
    """What the typed text becomes; `year` completes dates that name none."""
    if text.startswith("'"):
        return Typed(text[1:])
    if text.startswith("=") and len(text) > 1:
        return Typed(formula=text)
    bare = text.strip()
    if bare.upper() in ("TRUE", "FALSE"):
        return Typed(bare.upper() == "TRUE")
    if bare and bare[0] in "+-.(0123456789$€£¥" and (number := _number(bare)) is not None:
        return number
    if (moment := _moment(bare, year)) is not None:
        return moment
    if text.startswith("+") and len(text) > 1:
        return Typed(formula="=" + text)
    return Typed(text, link=bare if _URL.match(bare) else None)


def _number(text: str) -> Typed | None:
    if text.startswith("(") and text.endswith(")"):
        inner = _number(text[1:-1])
        if inner is None or text[1:2] in "+-":
            return None
        return inner._replace(value=-inner.value)  # type: ignore[operator]
    if text.endswith("%"):
        inner = _number(text[:-1].rstrip())
        if inner is None or (inner.format and inner.format["type"] != "NUMBER"):
            return None
        pattern = "0.00%" if "." in text else "0%"
        value = float(repr(round(float(inner.value) / 100, 15)))  # type: ignore[arg-type]
        return Typed(_whole(value), format={"type": "PERCENT", "pattern": pattern})
    if _PLAIN.match(text):
        return Typed(_whole(float(text)) if "." in text else _integer(text))
    if _GROUPED.match(text):
        pattern = "#,##0.00" if "." in text else "#,##0"
        value = float(text.replace(",", ""))
        return Typed(_whole(value), format={"type": "NUMBER", "pattern": pattern})
    if _SCIENTIFIC.match(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            return None
        return Typed(_whole(value), format={"type": "SCIENTIFIC", "pattern": "0.00E+00"})
    return _money(text)


def _money(text: str) -> Typed | None:
    if match := _MONEY.match(text):
        sign, symbol, inner_sign, amount = match.groups()
    elif match := _MONEY_AFTER.match(text):
        amount, symbol = match.groups()
        sign = inner_sign = ""
    else:
        return None
    if not (_PLAIN.match(amount) or _GROUPED.match(amount)):
        return None
    value = float(amount.replace(",", ""))
    if "-" in (sign, inner_sign):
        value = -value
    digits = "#,##0.00" if "." in amount else "#,##0"
    pattern = f"[${symbol}]{digits}" if symbol != "$" else f'"$"{digits}'
    return Typed(_whole(value), format={"type": "CURRENCY", "pattern": pattern})


def _integer(text: str) -> int | float:
    number = int(text)
    return number if abs(number) < 10**15 else _whole(float(number))


def _whole(value: float) -> int | float:
    """Google's JSON has no 5.0: a whole number is written without a fraction."""
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def _moment(text: str, year: int) -> Typed | None:
    if not text or not (text[0].isdigit() or text[0].isalpha()):
        return None
    if (time := _time(text)) is not None:
        return Typed(time[0], format={"type": "TIME", "pattern": time[1]})
    if (date := _date(text, year)) is not None:
        return Typed(date[0], format={"type": "DATE", "pattern": date[1]})
    day, _, clock = text.partition(" ")
    if clock and (date := _date(day, year)) and (time := _time(clock.strip())):
        pattern = f"{date[1]} {time[1]}"
        return Typed(_whole(date[0] + time[0]), format={"type": "DATE_TIME", "pattern": pattern})
    return None


def _time(text: str) -> tuple[float, str] | None:
    match = _TIME.match(text)
    if match is None:
        return None
    hours, minutes, seconds, fraction, half = match.groups()
    h, m, s = int(hours), int(minutes), int(seconds or 0)
    if m > 59 or s > 59 or (half and not 1 <= h <= 12):
        return None
    if half:
        h = h % 12 + (12 if half.lower() == "p" else 0)
    pattern = "h:mm:ss" if seconds else "h:mm"
    if half:
        pattern += " am/pm"
    total = h * 3600 + m * 60 + s + float(fraction or 0)
    return _whole(total / 86400), pattern


def _date(text: str, year: int) -> tuple[int, str] | None:
    for shape, pattern in _DATES:
        match = shape.match(text)
        if match is None:
            continue
        found = match.groupdict()
        y = int(found.get("y") or year)
        if len(found.get("y") or "0000") == 2:
            y += 2000 if y < 30 else 1900
        month = found.get("m") or _MONTHS.index(found["mn"][:3].lower()) + 1
        try:
            moment = datetime(y, int(month), int(found.get("d") or 1))  # noqa: DTZ001
        except ValueError:
            return None
        return int(serial(moment)), pattern
    return None
