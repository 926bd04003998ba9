"""Sources: made, changed, deleted, and when an agent said last that it serves them."""

import json
from collections.abc import Sequence
from typing import Any, Final

from rq.utils import utcformat

from relay.queue.admission import raise_refusal
from relay.queue.chunks import chunks
from relay.queue.endings import SOURCE_DELETED_REASON
from relay.queue.errors import QueueError, UnknownSource
from relay.queue.scripted import ScriptedQueue
from relay.queue.scripts import redis_errors
from relay.queue.stored import progress_of, with_said
from relay.queue.terms import Caller
from relay.source_records import SourceRecord
from wire import ids
from wire.models import RefreshProgress
from wire.source_models import SourcePatch, SourceRequest

_SEEN_EVERY_SECONDS: Final = 60
_MOST_REMEMBERED: Final = 20_000


class Sources(ScriptedQueue):
    """What is said of sources."""

    def make_source(
        self, caller: Caller, ask: SourceRequest, *, idempotency_key: str = ""
    ) -> tuple[str, bool, bool]:
        """A source's id, whether it was made now, and whether this is the first answer again.

        What *ask* says of one that is there is changed. Raises UnknownSource for another account's,
        and what spend_nonce raises.
        """
        said = ask.model_dump(mode="json", exclude={"source_id"}, exclude_none=True)
        source_id = ask.source_id or ids.new_source_id()
        name, word = self._put(caller, "make", source_id, said, idempotency_key)
        return name, word == "created", word == "replayed"

    def change_source(self, caller: Caller, source_id: str, patch: SourcePatch) -> None:
        """Change what *patch* names. Raises UnknownSource, and what spend_nonce raises."""
        said = patch.model_dump(mode="json", exclude_none=True)
        self._put(caller, "change", source_id, said, "")

    def delete_source(self, caller: Caller, source_id: str) -> None:
        """Hide a source and cancel its refresh. Raises UnknownSource, and what spend_nonce does."""
        self._put(caller, "delete", source_id, {}, "")
        self._announced.pop((caller.account_id, source_id), None)

    def _put(
        self, caller: Caller, act: str, source_id: str, said: dict[str, Any], key: str
    ) -> tuple[str, str]:
        head = self._claims(caller, route="POST /v1/sources", idempotency_key=key) | {
            "act": act,
            "source": source_id,
            "iso": utcformat(self._clock()),
            "reason": SOURCE_DELETED_REASON,
        }
        arguments = [json.dumps(head)]
        for name, value in said.items():
            arguments += [name, str(int(value)) if isinstance(value, bool) else str(value)]
        word, *more = self._scripts.run("source", arguments)
        if word == b"ok":
            return more[0].decode(), more[1].decode()
        if word == b"unknown_source":
            raise UnknownSource(source_id)
        raise_refusal(word)
        raise QueueError(f"the script answered {word!r}")

    def announce(self, account_id: str, sources: Sequence[str], *, device_id: str = "") -> None:
        """An agent serves *sources*. Each is noted once a minute: agents say so all the time."""
        now = self._clock().timestamp()
        due = [
            source
            for source in dict.fromkeys(sources)
            if not 0 <= now - self._announced.get((account_id, source), 0) < _SEEN_EVERY_SECONDS
        ]
        if not due:
            return
        if len(self._announced) > _MOST_REMEMBERED:
            self._announced.clear()
        self._scripts.run("seen", [account_id, device_id, *due])
        self._announced.update(((account_id, source), now) for source in due)

    def sources_now(
        self, account_id: str, known: Sequence[SourceRecord], *, one: str | None = None
    ) -> dict[str, tuple[SourceRecord, RefreshProgress | None]]:
        """Sources as they stand, each with its newest refresh, if Redis knows that.

        *known* are from the books, which lag a moment behind; *one* more is looked for that may
        not be there yet. Another account's, and a deleted one, are left out.
        """
        records = {record.source_id: record for record in known}
        names = [*records, *([one] if one is not None and one not in records else [])]
        found: dict[str, tuple[SourceRecord, RefreshProgress | None]] = {}
        for chunk in chunks(names):
            with redis_errors(), self.redis.pipeline(transaction=False) as pipe:
                for name in chunk:
                    pipe.get(f"linkrow:source:{name}")
                    pipe.hgetall(f"linkrow:about:{name}")
                    pipe.get(f"linkrow:refreshing:{name}")
                answers: list[Any] = pipe.execute()
                newest = [answer.decode() if answer else "" for answer in answers[2::3]]
                for refresh in newest:
                    pipe.hgetall(f"linkrow:refresh:{account_id}:{refresh}")
                refreshes = pipe.execute()
            for at, name in enumerate(chunk):
                owner, said = answers[3 * at], answers[3 * at + 1]
                if owner is not None and owner.decode() != account_id:
                    continue
                record = with_said(name, account_id, records.get(name), said)
                if record is not None and record.deleted_at is None:
                    found[name] = record, progress_of(newest[at], refreshes[at])
        return found
