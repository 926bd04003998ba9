"""When is our answer the recorded one? Equal but for what no two recordings have in common:
ids that were made up, moments, addresses of people, opaque tokens."""

import re
from typing import Any

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_PERSON = re.compile(r"[\w.+-]+@[\w.-]+\.\w+")
_TOKEN = re.compile(r"(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{12,}")
_NUMBER = re.compile(r"(?<![.\d])\d{10,}")
PLACEHOLDER = "SPREADSHEET_ID"


class Ids:
    """Made-up numbers of the recording and ours, one to one: learnt from answers, used in
    requests."""

    def __init__(self) -> None:
        self.ours: dict[int, int] = {}

    def learn(self, recorded: Any, got: Any, name: str = "") -> None:
        if isinstance(recorded, dict) and isinstance(got, dict):
            for key in recorded.keys() & got.keys():
                self.learn(recorded[key], got[key], key)
        elif isinstance(recorded, list) and isinstance(got, list):
            for one, other in zip(recorded, got, strict=False):
                self.learn(one, other, name)
        elif is_id(name) and is_number(recorded) and is_number(got):
            self.ours.setdefault(int(recorded), int(got))

    def translated(self, node: Any, name: str = "") -> Any:
        """A recorded request with our ids."""
        if isinstance(node, dict):
            return {key: self.translated(part, key) for key, part in node.items()}
        if isinstance(node, list):
            return [self.translated(part, name) for part in node]
        if is_id(name) and is_number(node) and int(node) in self.ours:
            return type(node)(self.ours[int(node)])
        return node


def is_id(name: str) -> bool:
    return name == "id" or name.endswith("Id")


def is_number(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, str) and value.isdigit()
    )


def canonical(node: Any, ids: dict[int, int] | None = None, name: str = "") -> Any:
    """What must be equal. With `ids` (of a recorded answer) known ids are ours first."""
    if isinstance(node, dict):
        return {key: canonical(part, ids, key) for key, part in node.items()}
    if isinstance(node, list):
        return [canonical(part, ids, name) for part in node]
    if is_id(name) and is_number(node):
        return type(node)((ids or {}).get(int(node), int(node)))
    if isinstance(node, str):
        text = _MOMENT.sub("<moment>", node)
        text = _PERSON.sub("<person>", text)
        text = _TOKEN.sub("<token>", text.replace(PLACEHOLDER, "<token>"))
        return _NUMBER.sub("<token>", text)
    return node
