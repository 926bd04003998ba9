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

_ENTRY = re.compile(
    rb"\*(\d+)\r\n\$4\r\nXADD\r\n\$%d\r\n%s\r\n" % (len(STREAM), STREAM.encode()), re.IGNORECASE
)


class Rewritten(Exception):
    """Redis has rewritten its file: what was on the stream before is not to be known any more."""


def happenings(folder: Path) -> Iterator[Event]:
    """``taken``, ``ended`` and ``settled``, as the checker knows them, in order."""
    for _, fields in sorted(_entries(folder)):
        yield from _events(dict(fields))


def _entries(folder: Path) -> Iterator[tuple[tuple[int, int], list[tuple[bytes, bytes]]]]:
    files = sorted(folder.rglob("*.aof"))
    bases = [file.name for file in folder.rglob("*.base.*")]
    if not files or any(".1.base." not in name for name in bases):
        raise Rewritten(f"{[file.name for file in files]} {bases}")
    for file in files:
        data = file.read_bytes()
        if data.startswith(b"REDIS"):  # Redis 6 writes a rewrite's snapshot into the file itself
            raise Rewritten(file.name)
        for found in _ENTRY.finditer(data):
            words = list(_words(data, found.end(), int(found[1]) - 2))
            first, _, second = words[0].partition(b"-")
            yield (int(first), int(second)), list(zip(words[1::2], words[2::2], strict=True))


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
