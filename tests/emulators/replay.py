"""Plays a recording of Google's answers to the emulator, one cassette on one fresh state.

The recordings have holes: not every request of a cassette is in them. What the missing ones left
behind is taken from the answers that follow the hole (a *premise*), and only where our state does
not show it anyway; how many premises it takes is counted.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.emulators.likeness import PLACEHOLDER, Ids, canonical
from tests.emulators.premises import Premises
from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.server import Answer, Request
from tests.emulators.sheets.store import File


@dataclass
class Outcome:
    pair: dict[str, Any]
    status: int
    body: Any
    expected: Any


class Replay:
    """`send` takes a request to the emulator, over HTTP or not, and gives its answer."""

    def __init__(self, emulator: Emulator, send: Any):
        self.emulator = emulator
        self.send = send
        self.ids = Ids()
        self.premises = Premises(self)
        self.file: File | None = None

    def play(self, pairs: list[dict[str, Any]]) -> list[Outcome]:
        outcomes = []
        seen = -1
        for i, pair in enumerate(pairs):
            if pair["seq"] != seen + 1:
                self.premises.before(pairs[i:])
            seen = pair["seq"]
            outcomes.append(self.one(pair))
        return outcomes

    def one(self, pair: dict[str, Any]) -> Outcome:
        status, body = self.send(self.request(pair))
        newest = self.newest()
        if newest is not None:
            self.file = newest
        self.ids.learn(pair["response_body"], body)
        if self.file is not None:
            body = _replaced(body, self.file.file_id, PLACEHOLDER)
        return Outcome(
            pair,
            status,
            canonical(stripped(body, pair)),
            canonical(pair["response_body"], self.ids.ours),
        )

    def newest(self) -> File | None:
        """The file that the recording's one placeholder means: the one made last."""
        made = list(self.emulator.store.files.values())
        return made[-1] if made else None

    def request(self, pair: dict[str, Any]) -> Request:
        path = pair["path"]
        if self.file is not None:
            path = path.replace(PLACEHOLDER, self.file.file_id)
        body = pair["request_body"]
        if isinstance(body, dict) and "<not json>" in body:
            raw = body["<not json>"].encode()
        else:
            raw = b"" if body is None else _json(self.ids.translated(body))
        query = [(name, value) for name, value in pair["query"]]
        return Request(pair["method"], path, query, {}, raw)

    def ours(self, pair: dict[str, Any]) -> Any:
        """What the emulator would answer a read just now, without a trace."""
        request = self.request(pair)
        answer: Answer = self.emulator.sheets(request)
        return _content(answer)


def stripped(body: Any, pair: dict[str, Any]) -> Any:
    """Some recorded answers were shortened; they say of which properties."""
    parts = pair.get("stripped_from_response")
    if not parts or not isinstance(body, dict):
        return body
    properties = {k: v for k, v in body.get("properties", {}).items() if k not in parts}
    return {**body, "properties": properties}


def _replaced(node: Any, old: str, new: str) -> Any:
    if isinstance(node, dict):
        return {key: _replaced(part, old, new) for key, part in node.items()}
    if isinstance(node, list):
        return [_replaced(part, old, new) for part in node]
    return node.replace(old, new) if isinstance(node, str) else node


def _json(body: Any) -> bytes:
    import json

    return json.dumps(body).encode()


def _content(answer: Answer) -> Any:
    return content(answer.body)


def content(raw: bytes) -> Any:
    """A body as the recordings write it."""
    import json

    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return {"<not json>": raw.decode()}


def target(request: Request) -> str:
    return request.path + ("?" + urlencode(request.query) if request.query else "")
