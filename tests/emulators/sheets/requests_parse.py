"""Reads a JSON body as a message of requests_messages: the way protobuf's JSON reader does it.

What comes out is what the API sees: names that are known, nulls and defaults gone, numbers that
came as text read, floats with the precision that Google keeps. What it cannot read it refuses, all
mistakes of a body in one answer, as Google does.
"""

import json
import math
import re
import struct
from dataclasses import dataclass, field
from typing import Any

from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.requests_messages import (
    ENUMS,
    MESSAGES,
    ONEOFS,
    UNSET,
    Field,
    type_name,
)

_INT = re.compile(r"-?[0-9]+(?:\.0+)?\Z")
_LIMITS = {"int32": 2**31, "int64": 2**63}
_SPELLED = {
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float": "TYPE_FLOAT",
    "double": "TYPE_DOUBLE",
    "string": "TYPE_STRING",
    "bool": "TYPE_BOOL",
    "mask": "type.googleapis.com/google.protobuf.FieldMask",
    "list": "type.googleapis.com/google.protobuf.ListValue",
    "object": "type.googleapis.com/google.protobuf.Struct",
}
_DEFAULTS: dict[str, Any] = {
    "int32": 0,
    "int64": 0,
    "float": 0,
    "double": 0,
    "string": "",
    "bool": False,
    "mask": "",
}


def read_message(kind: str, body: object, place: str = "") -> dict[str, Any]:
    """The body as a message, or one refusal that lists every mistake in it."""
    mistakes = _Mistakes()
    message = _message(kind, body, place, mistakes)
    mistakes.refuse()
    return message


@dataclass
class _Mistakes:
    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, place: str, sentence: str) -> None:
        self.found.append((place, sentence))

    def value(self, place: str, spelled: str, value: object) -> None:
        self.add(place, f"Invalid value at '{place}' ({spelled}), {_shown(value)}")

    def refuse(self) -> None:
        if not self.found:
            return
        violations = [
            {"field": place, "description": s} if place else {"description": s}
            for place, s in self.found
        ]
        raise ApiError(
            "\n".join(sentence for _, sentence in self.found),
            details=[
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": violations,
                }
            ],
        )


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value)


def snake(name: str) -> str:
    """`startRowIndex` -> `start_row_index`, as places in error answers are spelled."""
    return re.sub(r"(?<!^)([A-Z])", lambda m: "_" + m[1].lower(), name)


def camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), name)


def _message(kind: str, body: object, place: str, mistakes: _Mistakes) -> dict[str, Any]:
    if not isinstance(body, dict):
        if isinstance(body, list):
            why = "Proto field is not repeating, cannot start list."
            at = f" at '{place}'"
            if not place:
                why, at = "Root element must be a message.", ""
            mistakes.add(place, f'Invalid JSON payload received. Unknown name ""{at}: {why}')
        else:
            mistakes.value(place, type_name(kind), body)
        return {}
    fields = MESSAGES[kind]
    oneof, choices = ONEOFS.get(kind, ("", ()))
    message: dict[str, Any] = {}
    chosen = False
    for sent, value in body.items():
        name = sent if sent in fields else camel(sent)
        known = fields.get(name)
        if known is None:
            at = f" at '{place}'" if place else ""
            mistakes.add(
                place,
                f'Invalid JSON payload received. Unknown name "{sent}"{at}: Cannot find field.',
            )
            continue
        if value is None:
            continue
        member = bool(oneof) and (choices is None or name in choices)
        if member:
            if chosen:
                mistakes.add(
                    place,
                    f"Invalid value at '{place}' (oneof), oneof field '{oneof}' is already set."
                    f" Cannot set '{sent}'",
                )
                continue
            chosen = True
        inside = f"{place}.{snake(name)}" if place else snake(name)
        read = _field(known, value, inside, mistakes, in_oneof=member)
        if read is not _NOTHING:
            message[name] = read
    return message


_NOTHING: Any = object()


def _field(known: Field, value: Any, place: str, mistakes: _Mistakes, *, in_oneof: bool) -> Any:
    if known.mapped:
        if not isinstance(value, dict):
            mistakes.value(place, "map", value)
            return _NOTHING
        return {
            key: _message(known.kind, part, f"{place}[{key}].value", mistakes)
            for key, part in value.items()
        } or _NOTHING
    if known.repeated:
        parts = value if isinstance(value, list) else [value]
        read = [
            _one(known.kind, part, f"{place}[{i}]" if isinstance(value, list) else place, mistakes)
            for i, part in enumerate(parts)
        ]
        return read or _NOTHING
    if isinstance(value, list) and known.kind != "json":
        parent, _, last = place.rpartition(".")
        at = f" at '{parent}'" if parent else ""
        mistakes.add(
            parent,
            f'Invalid JSON payload received. Unknown name "{last}"{at}: '
            "Proto field is not repeating, cannot start list.",
        )
        return _NOTHING
    read = _one(known.kind, value, place, mistakes)
    if read is _NOTHING:
        return _NOTHING
    if known.presence:
        return read
    default = _DEFAULTS.get(known.kind)
    if known.kind in ENUMS and known.kind not in UNSET:
        return read
    return _NOTHING if default is not None and read == default and not in_oneof else read


def _one(kind: str, value: Any, place: str, mistakes: _Mistakes) -> Any:
    if kind == "json":
        return value
    if kind in MESSAGES:
        return _message(kind, value, place, mistakes)
    if kind in ENUMS:
        return _enum(kind, value, place, mistakes)
    read = _scalar(kind, value)
    if read is _NOTHING:
        mistakes.value(place, _SPELLED[kind], value)
    return read


def _enum(kind: str, value: Any, place: str, mistakes: _Mistakes) -> Any:
    names = ENUMS[kind]
    unset = UNSET.get(kind)
    if isinstance(value, int) and not isinstance(value, bool):
        numbered = (unset, *names) if unset else names
        if 0 <= value < len(numbered):
            value = numbered[value]
    if value == unset:
        return _NOTHING
    if value not in names:
        mistakes.value(place, type_name(kind), value)
        return _NOTHING
    return value


def _scalar(kind: str, value: Any) -> Any:
    match kind:
        case "bool":
            if isinstance(value, str):
                value = {"true": True, "false": False}.get(value)
            return value if isinstance(value, bool) else _NOTHING
        case "string" | "mask":
            return value if isinstance(value, str) else _NOTHING
        case "object":
            return value if isinstance(value, dict) else _NOTHING
        case "list":
            return value if isinstance(value, list) else _NOTHING
        case "int32" | "int64":
            return _integer(value, _LIMITS[kind])
        case _:
            return _number(value, single=kind == "float")


def _integer(value: Any, limit: int) -> Any:
    if isinstance(value, bool):
        return _NOTHING
    if isinstance(value, str) and _INT.match(value):
        value = float(value) if "." in value else int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or not -limit <= value < limit:
        return _NOTHING
    return value


def _number(value: Any, *, single: bool) -> Any:
    if isinstance(value, bool):
        return _NOTHING
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return _NOTHING
    if not isinstance(value, int | float) or not math.isfinite(value):
        return _NOTHING
    return whole(single_precision(float(value)) if single else value)


def whole(value: float) -> float | int:
    """1.0 is printed as 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def single_precision(value: float) -> float:
    """The shortest decimal that a 32-bit float of this value reads back from (0.49803922)."""
    packed = struct.pack("f", value)
    kept: float = struct.unpack("f", packed)[0]
    for digits in range(6, 10):
        short = float(f"{kept:.{digits}g}")
        if struct.pack("f", short) == packed:
            return short
    return kept
