"""A number as a sheet shows it: the automatic format, and patterns such as `#,##0.00` or
`yyyy-mm-dd`."""

import re
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from tests.emulators.sheets.serials import moment_of

DATE_TYPES = {"DATE", "TIME", "DATE_TIME"}
DEFAULT_PATTERNS = {
    "NUMBER": "#,##0.00",
    "PERCENT": "0.00%",
    "CURRENCY": '"$"#,##0.00',
    "DATE": "m/d/yyyy",
    "TIME": "h:mm:ss am/pm",
    "DATE_TIME": "m/d/yyyy h:mm:ss",
    "SCIENTIFIC": "0.00E+00",
}


def automatic(number: float) -> str:
    """Ten significant digits, whole numbers in full, very long ones as 1.23457E+15."""
    if isinstance(number, int) and abs(number) < 10**15:
        return str(number)
    value = float(number)
    if value == 0:
        return "0"
    magnitude = abs(value)
    if magnitude >= 1e15 or magnitude < 1e-10:
        mantissa, _, exponent = f"{value:.5E}".partition("E")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        power = int(exponent)
        return f"{mantissa}E{'-' if power < 0 else '+'}{abs(power):02d}"
    if value.is_integer():
        return str(int(value))
    whole_digits = len(str(int(magnitude))) if magnitude >= 1 else 0
    decimals = max(0, 10 - whole_digits)
    return _trim(f"{value:.{decimals}f}")


def _trim(text: str) -> str:
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def show(number: float, number_format: dict[str, str] | None) -> str:
    if not number_format:
        return automatic(number)
    kind = number_format.get("type", "")
    pattern = number_format.get("pattern") or DEFAULT_PATTERNS.get(kind, "")
    if kind == "TEXT" or pattern in ("", "@", "General"):
        return automatic(number)
    return by_pattern(number, pattern)


def is_date(number_format: dict[str, str] | None) -> bool:
    return bool(number_format) and number_format.get("type") in DATE_TYPES  # type: ignore[union-attr]


def by_pattern(number: float, pattern: str) -> str:
    sections = _sections(pattern)
    section = sections[0]
    value = number
    if number < 0 and len(sections) > 1:
        section, value = sections[1], -number
    elif number == 0 and len(sections) > 2:
        section = sections[2]
    tokens = _tokens(section)
    if any(kind == "date" for kind, _ in tokens):
        return _as_date(value, tokens)
    return _as_number(value, tokens)


@lru_cache(maxsize=512)
def _sections(pattern: str) -> tuple[str, ...]:
    parts, current, in_quotes = [], "", False
    for letter in pattern:
        if letter == '"':
            in_quotes = not in_quotes
        if letter == ";" and not in_quotes:
            parts.append(current)
            current = ""
        else:
            current += letter
    return (*parts, current)


_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|\[\$(?P<currency>[^\]-]*)[^\]]*\]'
    r"|\[(?P<elapsed>h+|m+|s+)\]|\[[^\]]*\]|_.|\*."
    r"|(?P<date>am/pm|a/p|y+|m+|d+|h+|s+(?:\.0+)?)|(?P<power>[eE][+-]0+)"
    r"|(?P<digits>[#0?][#0?,]*(?:\.[#0?]*)?|\.[#0?]+)|(?P<percent>%)|(?P<general>General)|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)


@lru_cache(maxsize=512)
def _tokens(section: str) -> tuple[tuple[str, str], ...]:
    found = []
    for match in _TOKEN.finditer(section):
        kind = match.lastgroup
        if kind in ("quoted", "escaped", "currency", "other"):
            found.append(("text", match.group(kind)))
        elif kind == "elapsed":
            found.append(("date", f"[{match.group(kind).lower()}]"))
        elif kind is not None:
            found.append((kind, match.group(kind)))
    return tuple(found)


def _as_number(value: float, tokens: tuple[tuple[str, str], ...]) -> str:
    percent = sum(1 for kind, _ in tokens if kind == "percent")
    power = next((text for kind, text in tokens if kind == "power"), None)
    exact = Decimal(repr(float(value))) * 100**percent
    shown, done = "", False
    for kind, text in tokens:
        if kind == "text":
            shown += text
        elif kind == "percent":
            shown += "%"
        elif kind == "general":
            shown += automatic(value)
            done = True
        elif kind == "digits" and not done:
            shown += _scientific(exact, text, power) if power else _digits(exact, text)
            done = True
    if value < 0 and done and not shown.startswith("-") and "-" in shown:
        shown = "-" + shown.replace("-", "", 1) if not power else shown
    return shown


def _digits(value: Decimal, pattern: str) -> str:
    whole, _, fraction = pattern.partition(".")
    places = len(fraction)
    fixed = abs(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    integer, _, decimals = f"{fixed:f}".partition(".")
    least = sum(1 for d in whole if d == "0")
    integer = (
        integer.lstrip("0").rjust(least, "0") if int(integer) == 0 else integer.rjust(least, "0")
    )
    if "," in whole:
        integer = f"{int(integer):,}".rjust(least, "0") if integer else integer
    keep = sum(1 for d in fraction if d == "0")
    while len(decimals) > keep and decimals.endswith("0"):
        decimals = decimals[:-1]
    text = f"{integer}.{decimals}" if decimals or (places and keep) else integer
    return f"-{text}" if value < 0 and fixed != 0 else text


def _scientific(value: Decimal, pattern: str, power: str) -> str:
    places = len(pattern.partition(".")[2])
    mantissa, _, exponent = f"{value:.{places}E}".partition("E")
    width = len(power) - 2
    number = int(exponent)
    return f"{mantissa}E{'-' if number < 0 else '+'}{abs(number):0{width}d}"


def _as_date(value: float, tokens: tuple[tuple[str, str], ...]) -> str:
    moment = moment_of(value)
    half = any(kind == "date" and text.lower() in ("am/pm", "a/p") for kind, text in tokens)
    shown = ""
    for i, (kind, text) in enumerate(tokens):
        if kind == "date":
            shown += _date_part(moment, value, text, half, _is_minutes(tokens, i))
        elif kind in ("text", "general"):
            shown += text
        elif kind == "digits":
            shown += text.replace("#", "")
        elif kind == "percent":
            shown += "%"
    return shown


def _is_minutes(tokens: tuple[tuple[str, str], ...], at: int) -> bool:
    """m means minutes after hours and before seconds."""
    before = [t.lower() for k, t in tokens[:at] if k == "date"]
    after = [t.lower() for k, t in tokens[at + 1 :] if k == "date"]
    return bool(
        (before and before[-1].lstrip("[").startswith("h")) or (after and after[0].startswith("s"))
    )


def _date_part(moment: datetime, value: float, token: str, half: bool, minutes: bool) -> str:
    low = token.lower()
    hour = (moment.hour % 12 or 12) if half else moment.hour
    if low.startswith("["):
        per_day = {"h": 24, "m": 1440, "s": 86400}[low[1]]
        return str(int(value * per_day + 1e-9)).rjust(len(low) - 2, "0")
    if low == "am/pm":
        return "AM" if moment.hour < 12 else "PM"
    if low == "a/p":
        return "A" if moment.hour < 12 else "P"
    if low[0] == "y":
        return f"{moment.year % 100:02d}" if len(low) <= 2 else f"{moment.year:04d}"
    if low[0] == "m" and not minutes:
        return {
            1: str(moment.month),
            2: f"{moment.month:02d}",
            3: moment.strftime("%b"),
            4: moment.strftime("%B"),
        }.get(len(low), moment.strftime("%B")[0])
    if low[0] == "d":
        return {
            1: str(moment.day),
            2: f"{moment.day:02d}",
            3: moment.strftime("%a"),
        }.get(len(low), moment.strftime("%A"))
    if low[0] == "s":
        seconds, _, places = low.partition(".")
        text = str(moment.second).rjust(len(seconds), "0")
        return f"{text}.{moment.microsecond:06d}"[: len(text) + 1 + len(places)] if places else text
    number = moment.minute if low[0] == "m" else hour
    return str(number).rjust(len(low), "0")
