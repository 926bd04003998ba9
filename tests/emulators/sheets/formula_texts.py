"""Functions of texts."""

import re
from typing import Any
from urllib.parse import quote

from tests.emulators.sheets import typed
from tests.emulators.sheets.formula_registry import FUNCTIONS, Function, cellwise, whole
from tests.emulators.sheets.formula_values import (
    Array,
    Failed,
    number,
    text,
    truth,
)
from tests.emulators.sheets.numberformat import by_pattern

FUNCTIONS.update(
    {
        "LEN": Function(lambda v: len(text(v)), cellwise=True),
        "LEFT": Function(lambda v, n=1: text(v)[: int(number(n))], cellwise=True),
        "RIGHT": Function(
            lambda v, n=1: text(v)[-int(number(n)) :] if number(n) else "", cellwise=True
        ),
        "MID": Function(
            lambda v, s, n: text(v)[int(number(s)) - 1 : int(number(s)) - 1 + int(number(n))],
            cellwise=True,
        ),
        "TRIM": Function(lambda v: " ".join(text(v).split(" ")).strip(), cellwise=True),
        "UPPER": Function(lambda v: text(v).upper(), cellwise=True),
        "LOWER": Function(lambda v: text(v).lower(), cellwise=True),
        "PROPER": Function(lambda v: text(v).title(), cellwise=True),
        "CONCAT": Function(lambda a, b: text(a) + text(b), cellwise=True),
        "EXACT": Function(lambda a, b: text(a) == text(b), cellwise=True),
        "REPT": Function(lambda v, n: text(v) * int(number(n)), cellwise=True),
        "CHAR": Function(lambda n: chr(int(number(n))), cellwise=True),
        "CODE": Function(lambda v: ord(text(v)[0]), cellwise=True),
        "T": Function(lambda v: v if isinstance(v, str) else "", cellwise=True),
        "TO_TEXT": Function(text, cellwise=True),
        "ENCODEURL": Function(lambda v: quote(text(v), safe=""), cellwise=True),
        "SUBSTITUTE": Function(
            lambda v, old, new: text(v).replace(text(old), text(new)), cellwise=True
        ),
        "TEXT": Function(lambda v, p: by_pattern(number(v), text(p)), cellwise=True),
        "VALUE": Function(lambda v: number(v, "VALUE"), cellwise=True),
        "REGEXMATCH": Function(lambda v, p: bool(re.search(text(p), text(v))), cellwise=True),
        "REGEXREPLACE": Function(
            lambda v, p, r: re.sub(text(p), re.sub(r"\$(\d)", r"\\\1", text(r)), text(v)),
            cellwise=True,
        ),
    }
)


@whole("CONCATENATE")
def concatenate(*values: Any) -> str:
    return "".join(
        text(part)
        for value in values
        for part in (value.flat() if isinstance(value, Array) else [value])
    )


@whole("TEXTJOIN")
def textjoin(sign: Any, skip: Any, *values: Any) -> str:
    parts = [
        text(v)
        for v in (
            concatenated
            for value in values
            for concatenated in (value.flat() if isinstance(value, Array) else [value])
        )
    ]
    return text(sign).join(p for p in parts if p or not truth(skip))


@whole("JOIN")
def join(sign: Any, *values: Any) -> str:
    return textjoin(sign, False, *values)


@cellwise("FIND", "SEARCH")
def find(wanted: Any, value: Any, start: Any = 1) -> int:
    at = text(value).find(text(wanted), int(number(start)) - 1)
    if at < 0:
        raise Failed(
            "VALUE",
            f"In FIND evaluation, cannot find '{text(wanted)}' within '{text(value)}'.",
        )
    return at + 1


@cellwise("REGEXEXTRACT")
def regexextract(value: Any, pattern: Any) -> Any:
    match = re.search(text(pattern), text(value))
    if match is None:
        raise Failed(
            "N_A",
            f'Function REGEXEXTRACT parameter 2 value "{text(pattern)}" does not match text of'
            f' Function REGEXEXTRACT parameter 1 value "{text(value)}".',
        )
    return match.group(1) if match.groups() else match.group(0)


@whole("SPLIT")
def split(value: Any, signs: Any) -> Array:
    parts = re.split("[" + re.escape(text(signs)) + "]", text(value))
    read = [typed.read(p).value for p in parts if p]
    return Array(
        [[p if r is None else r for p, r in zip([p for p in parts if p], read, strict=True)]]
    )
