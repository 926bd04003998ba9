"""Everything that was ever put on the outcome stream, read from Redis' append-only file.

The recorder trims the stream as it goes, and the books keep the first final only: whether there
was a second one is to be seen nowhere else.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from relay.events import STREAM, Admitted, FinalEvent, WritebackEvent, decode
from tests.chaos.history import Event

# What is looked for among the commands: transactions, a server that starts, and the stream's.
_STEP = re.compile(
    rb"\*1\r\n\$5\r\n(?P<begin>MULTI)\r\n|\*1\r\n\$4\r\n(?P<end>EXEC)\r\n"
    rb"|\*2\r\n\$6\r\n(?P<start>SELECT)\r\n"
    rb"|\*(?P<count>\d+)\r\n\$4\r\nXADD\r\n\$%d\r\n%s\r\n" % (len(STREAM), STREAM.encode()),
    re.IGNORECASE,
)

Entry = tuple[tuple[int, int], list[tuple[bytes, bytes]]]


def happenings(folder: Path) -> Iterator[Event]:
    """``taken``, ``ended`` and ``settled``, as the checker knows them, in order.

    *folder* has every append-only file there ever was. Of a transaction whose end was never
    written, nothing has happened.
    """
    found: dict[tuple[int, int], list[tuple[bytes, bytes]]] = {}
    for file in sorted(folder.rglob("*.aof")):
        for entry_id, fields in _entries(file.read_bytes()):
            found.setdefault(entry_id, fields)
    for _, fields in sorted(found.items()):
        yield from _events(dict(fields))


def _entries(data: bytes) -> Iterator[Entry]:
    pending: list[Entry] | None = None
    began = 0
    for step in _STEP.finditer(data):
        if step["begin"]:
            pending, began = [], step.end()
        elif step["start"]:  # what was torn before it is void
            pending = pending if step.start() == began else None
        elif step["end"]:
            yield from pending or ()
            pending = None
        else:
            words = list(_words(data, step.end(), int(step["count"]) - 2))
            first, _, second = words[0].partition(b"-")
            entry = (int(first), int(second)), list(zip(words[1::2], words[2::2], strict=True))
            if pending is None:
                yield entry
            else:
                pending.append(entry)


def _words(data: bytes, at: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        end = data.index(b"\r\n", at)
        start = end + 2
        at = start + int(data[at + 1 : end])
        yield data[start:at]
        at += 2


def _events(fields: Mapping[bytes, bytes]) -> Iterator[Event]:
    match decode(fields):
        case Admitted(jobs=jobs):
            for job in jobs:
                yield {
                    "ev": "taken",
                    "job_id": job.job_id,
                    "source_id": job.source_id,
                    "row_id": job.row_id,
                    "link": json.loads(job.request)["tracking_url"],
                }
        case FinalEvent() as final:
            yield {
                "ev": "ended",
                "job_id": final.job_id,
                "status": final.status,
                "conclusion": final.conclusion,
                "final_url": final.final_url,
            }
        case WritebackEvent() as word:
            yield {"ev": "settled", "job_id": word.job_id, "writeback": word.writeback}
        case _:
            return
