"""Reading a body or a query as Google reads a proto message: strictly, all complaints at once."""

import json
from dataclasses import dataclass
from typing import Any

from tests.emulators.sheets.errors import ApiError, bad_payload

V4 = "type.googleapis.com/google.apps.sheets.v4."


@dataclass(frozen=True)
class Enum:
    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Message:
    name: str
    fields: "dict[str, Any]"


@dataclass(frozen=True)
class ListOf:
    item: Any


LIST_VALUE = "google.protobuf.ListValue"
DIMENSION = Enum("Dimension", ("DIMENSION_UNSPECIFIED", "ROWS", "COLUMNS"))
INPUT = Enum("ValueInputOption", ("INPUT_VALUE_OPTION_UNSPECIFIED", "RAW", "USER_ENTERED"))
RENDER = Enum("ValueRenderOption", ("FORMATTED_VALUE", "UNFORMATTED_VALUE", "FORMULA"))
DATES = Enum("DateTimeRenderOption", ("SERIAL_NUMBER", "FORMATTED_STRING"))
INSERT = Enum("AppendValuesRequest.InsertDataOption", ("OVERWRITE", "INSERT_ROWS"))

VALUE_RANGE = Message(
    "ValueRange", {"range": "string", "majorDimension": DIMENSION, "values": ListOf(LIST_VALUE)}
)
_ECHO = {
    "includeValuesInResponse": "bool",
    "responseValueRenderOption": RENDER,
    "responseDateTimeRenderOption": DATES,
}
BATCH_UPDATE = Message(
    "BatchUpdateValuesRequest",
    {"valueInputOption": INPUT, "data": ListOf(VALUE_RANGE), **_ECHO},
)
BATCH_CLEAR = Message("BatchClearValuesRequest", {"ranges": ListOf("string")})
CLEAR = Message("ClearValuesRequest", {})
COPY_TO = Message("CopySheetToAnotherSpreadsheetRequest", {"destinationSpreadsheetId": "string"})

READING = {
    "majorDimension": DIMENSION,
    "valueRenderOption": RENDER,
    "dateTimeRenderOption": DATES,
}
WRITING = {"valueInputOption": INPUT, **_ECHO}
# Parameters that every method takes.
COMMON = {
    "alt": "string",
    "fields": "string",
    "key": "string",
    "access_token": "string",
    "oauth_token": "string",
    "prettyPrint": "bool",
    "quotaUser": "string",
    "callback": "string",
    "uploadType": "string",
    "upload_protocol": "string",
    "$.xgafv": "string",
}


def body_json(raw: bytes) -> Any:
    """The body; an empty one is an empty message."""
    if not raw.strip():
        return {}
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        start = raw[:40].decode(errors="replace")
        raise bad_payload(
            f"Invalid JSON payload received. Unexpected token.\n{start}\n^", ""
        ) from None


def read_body(raw: bytes, message: Message, place: str = "") -> dict[str, Any]:
    """A checked message: camelCase names, no nulls."""
    body = body_json(raw)
    violations: list[tuple[str, str]] = []
    if not isinstance(body, dict):
        sentence = 'Invalid JSON payload received. Unknown name "": Root element must be a message.'
        raise bad_payload(sentence, "")
    answer = _message(body, message, place, violations)
    _refuse(violations)
    return answer


def read_query(query: list[tuple[str, str]], fields: dict[str, Any]) -> dict[str, Any]:
    """A checked query; of a parameter that is no list the last one counts."""
    violations: list[tuple[str, str]] = []
    answer: dict[str, Any] = {}
    known = {**fields, **COMMON}
    for name, text in query:
        camel = name if name in known else _camel(name)
        kind = known.get(camel)
        if kind is None:
            sentence = (
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query'
                f" parameter. Field '{name}' could not be found in request message."
            )
            violations.append(("", sentence))
        elif isinstance(kind, ListOf):
            answer.setdefault(camel, []).append(text)
        elif kind == "bool":
            answer[camel] = _query_bool(name, text, violations)
        else:
            answer[camel] = _value(text, kind, _snake(name), violations)
    _refuse(violations)
    return answer


def _query_bool(name: str, text: str, violations: list[tuple[str, str]]) -> bool:
    if text.lower() in ("true", "1", "yes", "t", "y", "on"):
        return True
    if text.lower() not in ("false", "0", "no", "f", "n", "off", ""):
        place = _snake(name)
        violations.append((place, f"Invalid value at '{place}' (TYPE_BOOL), \"{text}\""))
    return False


def _message(
    body: dict[str, Any], message: Message, place: str, violations: list[tuple[str, str]]
) -> dict[str, Any]:
    answer = {}
    for name, value in body.items():
        camel = name if name in message.fields else _camel(name)
        kind = message.fields.get(camel)
        if kind is None:
            at = f" at '{place}'" if place else ""
            violations.append(
                (
                    place,
                    f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.',
                )
            )
        elif value is not None:
            at = f"{place}.{_snake(camel)}" if place else _snake(camel)
            answer[camel] = _value(value, kind, at, violations)
    return answer


def _value(value: Any, kind: Any, place: str, violations: list[tuple[str, str]]) -> Any:
    if isinstance(kind, ListOf):
        if not isinstance(value, list):
            return [_value(value, kind.item, place, violations)]
        return [_value(v, kind.item, f"{place}[{i}]", violations) for i, v in enumerate(value)]
    if isinstance(kind, Message):
        if isinstance(value, dict):
            return _message(value, kind, place, violations)
        type_name = V4 + kind.name
    elif isinstance(kind, Enum):
        if value in kind.words:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value < len(kind.words):
            return kind.words[value]
        type_name = V4 + kind.name
    elif kind == LIST_VALUE:
        if isinstance(value, list):
            return value
        type_name = "type.googleapis.com/" + LIST_VALUE
    elif kind == "bool":
        if isinstance(value, bool):
            return value
        type_name = "TYPE_BOOL"
    else:
        if isinstance(value, str):
            return value
        type_name = "TYPE_STRING"
    _complain(value, type_name, place, violations)
    return None


def _complain(value: Any, type_name: str, place: str, violations: list[tuple[str, str]]) -> None:
    start = "Invalid JSON payload received. Unknown name"
    if isinstance(value, dict):
        violations.extend(
            (place, f"{start} \"{name}\" at '{place}': Cannot find field.") for name in value
        )
    elif isinstance(value, list):
        sentence = f"{start} \"\" at '{place}': Proto field is not repeating, cannot start list."
        violations.append((place, sentence))
    else:
        shown = json.dumps(value, ensure_ascii=False)
        violations.append((place, f"Invalid value at '{place}' ({type_name}), {shown}"))


def _refuse(violations: list[tuple[str, str]]) -> None:
    if violations:
        raise ApiError(
            "\n".join(sentence for _, sentence in violations),
            details=[
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [
                        {"field": place, "description": sentence}
                        if place
                        else {"description": sentence}
                        for place, sentence in violations
                    ],
                }
            ],
        )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
