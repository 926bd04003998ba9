"""Judge a whole history: what of promise 1 it breaks, event by event. Pure.

What is said while it lasts, as it is noticed on the way between a party and the relay:
  admitted    the relay answered for a job: job_id, disposition, key, index, is_replay, source_id,
              row_id, link
  leased      job_id, lease_id, kind, delivery
  reported    job_id, lease_id, state, conclusion, final_url: what an agent said, and the answer
  confirmed   job_id, writeback: the word on its row that stands
  canceled    job_id
  seen        job_id, status, conclusion, final_url, checked_at: a final job as a caller saw it
  missed      job_id: a caller asked, and the relay knew no such job
  doubled     path, statuses: one request was sent twice, bit for bit
  owned       source_id, link, note: the owner of a file put this row down
  disowned    source_id, link: and took it away again
  fell        party, code: a process ended though nobody had ended it
What is found at the end, when nothing moves any more:
  taken       job_id, source_id, row_id, link: Redis took it in (from its append-only file)
  ended       job_id, status, conclusion, final_url: Redis ended it
  settled     job_id, writeback: Redis heard the word on its row
  booked      job_id, status, conclusion, final_url, writeback, checked_at, source_id, row_id, link
  row         source_id, row_id, link, note, final_url, conclusion, job_id: as it stands in a file
  quota       count: how many jobs all quotas counted
  left        what, count: something that should be gone
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Event = dict[str, Any]

FINAL = frozenset({"done", "failed", "invalid", "skipped", "canceled", "expired"})
_UNCHECKED = frozenset({"agent_lost", "job_expired", "canceled", "superseded"})
_FOUND = {  # what an agent may find behind a link of each kind
    "fine": {"valid"},
    "slow": {"valid"},
    "long": {"valid"},
    "gone": {"link_removed"},
    "rude": {"bad_response", "connect_error"},
    "busy": {"valid", "http_5xx"},
}


class Kind(StrEnum):
    """Ways to break the promise."""

    LOST = "lost job"
    UNASKED = "job nobody was told of"
    ENDLESS = "no end at quiescence"
    TWO_ENDS = "two finals for one job"
    TWO_ACCEPTED = "two executions accepted"
    STALE_ACCEPTED = "a stale lease's report accepted"
    UNFOUND = "an end other than what was accepted"
    CHANGED = "a caller saw a final change"
    BOOKS_DIFFER = "ledger and queue disagree"
    MIXED_UP = "a result of another link"
    WRONG_ROW = "a result in the wrong row"
    STALE_ROW = "a stale result over a newer one"
    UNWRITTEN = "a row without its result"
    TWO_WORDS = "two words on one row"
    OWNER = "a row or cell of its owner's changed"
    KEY = "one Idempotency-Key, two answers"
    REPLAYED = "a replayed request did something"
    QUOTA = "quota counted other than admitted"
    LEFT = "something left over"
    FELL = "a process ended by itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One breach: of what kind, by which job (or row, or part), and what was found."""

    kind: Kind
    of: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.of} {self.detail}".rstrip()


@dataclass(slots=True)
class _Facts:
    """The history, sorted by what it speaks of."""

    by_ev: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))

    def __getitem__(self, ev: str) -> list[Event]:
        return self.by_ev[ev]

    def by_job(self, ev: str) -> dict[str, list[Event]]:
        """The events called *ev* of each job."""
        found: dict[str, list[Event]] = defaultdict(list)
        for event in self.by_ev[ev]:
            found[event["job_id"]].append(event)
        return found


def check(history: Iterable[Event]) -> list[Violation]:
    """Every breach of promise 1 in *history*; none is what we want."""
    facts = _Facts()
    for place, event in enumerate(history):
        facts.by_ev[event["ev"]].append({**event, "place": place})
    return [violation for judge in _JUDGES for violation in judge(facts)]


# ---- jobs come in


def _nothing_is_lost(facts: _Facts) -> Iterator[Violation]:
    taken, booked = facts.by_job("taken"), facts.by_job("booked")
    acknowledged = facts.by_job("admitted")
    for job_id in acknowledged:
        if job_id not in taken:
            yield Violation(kind=Kind.LOST, of=job_id, detail="acknowledged, and not in the queue")
        if job_id not in booked:
            yield Violation(kind=Kind.LOST, of=job_id, detail="acknowledged, and not in the books")
    for event in facts["missed"]:
        if event["job_id"] in acknowledged:
            yield Violation(kind=Kind.LOST, of=event["job_id"], detail="not found by a caller")
    for job_id, events in taken.items():
        if len(events) > 1:
            yield Violation(kind=Kind.UNASKED, of=job_id, detail=f"taken {len(events)} times")
        if job_id not in acknowledged:
            yield Violation(kind=Kind.UNASKED, of=job_id, detail="taken, and told to nobody")


def _a_key_has_one_answer(facts: _Facts) -> Iterator[Violation]:
    first: dict[tuple[str, int], tuple[str, str]] = {}
    for event in facts["admitted"]:
        place = (event["key"], event["index"])
        answer = (event["job_id"], event["disposition"])
        if first.setdefault(place, answer) != answer:
            yield Violation(
                kind=Kind.KEY, of=event["key"], detail=f"{first[place]}, and then {answer}"
            )


def _quota_counts_what_was_admitted(facts: _Facts) -> Iterator[Violation]:
    created = {event["job_id"] for event in facts["taken"]}
    for event in facts["quota"]:
        if event["count"] != len(created):
            detail = f"{event['count']} counted, {len(created)} admitted"
            yield Violation(kind=Kind.QUOTA, of="quota", detail=detail)


def _a_replay_does_nothing(facts: _Facts) -> Iterator[Violation]:
    for event in facts["doubled"]:
        if len([status for status in event["statuses"] if status < 400]) > 1:
            yield Violation(
                kind=Kind.REPLAYED, of=event["path"], detail=f"answered {event['statuses']}"
            )


# ---- jobs end


def _every_job_ends_once(facts: _Facts) -> Iterator[Violation]:
    ended = facts.by_job("ended")
    booked = {event["job_id"]: event for event in facts["booked"]}
    for job_id in {event["job_id"] for event in facts["taken"]} | set(booked):
        if job_id not in ended:
            yield Violation(kind=Kind.ENDLESS, of=job_id, detail="the queue has not ended it")
        if job_id in booked and booked[job_id]["status"] not in FINAL:
            detail = f"in the books it is {booked[job_id]['status']}"
            yield Violation(kind=Kind.ENDLESS, of=job_id, detail=detail)
    for job_id, events in ended.items():
        if len(events) > 1:
            ends = [(event["status"], event["conclusion"]) for event in events]
            yield Violation(kind=Kind.TWO_ENDS, of=job_id, detail=str(ends))


def _one_execution_counts(facts: _Facts) -> Iterator[Violation]:
    ended = facts.by_job("ended")
    newest: dict[str, int] = {}
    for event in facts["leased"]:
        if event["kind"] == "link":
            job_id = event["job_id"]
            newest[job_id] = max(newest.get(job_id, 0), _delivery(event["lease_id"]))
    for job_id, events in facts.by_job("reported").items():
        accepted = [event for event in events if event["state"] == "accepted"]
        if len(accepted) > 1:
            leases = [event["lease_id"] for event in accepted]
            yield Violation(kind=Kind.TWO_ACCEPTED, of=job_id, detail=str(leases))
        counted = [event for event in events if event["state"] in ("accepted", "retry")]
        for event in accepted:
            if _delivery(event["lease_id"]) < newest.get(job_id, 0):
                detail = f"{event['lease_id']}, when delivery {newest[job_id]} was out"
                yield Violation(kind=Kind.STALE_ACCEPTED, of=job_id, detail=detail)
            for end in ended.get(job_id, []):
                if _answer(end) != _answer(event):
                    detail = f"{_answer(event)} was accepted, {_answer(end)} is its end"
                    yield Violation(kind=Kind.UNFOUND, of=job_id, detail=detail)
        leases = Counter(event["lease_id"] for event in counted)
        for lease_id, count in leases.items():
            if count > 1:
                detail = f"{lease_id} counted {count} times"
                yield Violation(kind=Kind.TWO_ACCEPTED, of=job_id, detail=detail)


def _delivery(lease_id: str) -> int:
    return int(lease_id.partition("-")[0])


def _answer(event: Event) -> tuple[str, str]:
    return event["conclusion"], event["final_url"] or ""


def _a_final_stays(facts: _Facts) -> Iterator[Violation]:
    booked = {event["job_id"]: event for event in facts["booked"]}
    for job_id, events in facts.by_job("seen").items():
        views = {(event["status"], *_answer(event), event["checked_at"]) for event in events}
        if len(views) > 1:
            yield Violation(kind=Kind.CHANGED, of=job_id, detail=str(sorted(map(str, views))))
        book = booked.get(job_id)
        if book and {(view[0], view[1], view[2]) for view in views} != {
            (book["status"], *_answer(book))
        }:
            detail = f"callers saw {views}, the books say {book['status']} {_answer(book)}"
            yield Violation(kind=Kind.CHANGED, of=job_id, detail=detail)


def _books_agree_with_the_queue(facts: _Facts) -> Iterator[Violation]:
    settled = facts.by_job("settled")
    ended = facts.by_job("ended")
    for book in facts["booked"]:
        job_id = book["job_id"]
        for end in ended.get(job_id, [])[:1]:
            if (book["status"], *_answer(book)) != (end["status"], *_answer(end)):
                detail = f"ended {end['status']} {_answer(end)}, "
                detail += f"booked {book['status']} {_answer(book)}"
                yield Violation(kind=Kind.BOOKS_DIFFER, of=job_id, detail=detail)
        words = [event["writeback"] for event in settled.get(job_id, [])]
        if len(words) > 1:
            yield Violation(kind=Kind.TWO_WORDS, of=job_id, detail=str(words))
        if book["writeback"] == "pending":
            yield Violation(kind=Kind.ENDLESS, of=job_id, detail="its row has no word")
        elif words and book["writeback"] != words[0]:
            detail = f"the row's word is {words[0]}, booked {book['writeback']}"
            yield Violation(kind=Kind.BOOKS_DIFFER, of=job_id, detail=detail)


def _an_end_is_of_its_own_link(facts: _Facts) -> Iterator[Violation]:
    for book in facts["booked"]:
        if book["status"] not in FINAL or book["conclusion"] in _UNCHECKED:
            continue
        if not _is_of(book["final_url"], book["link"]):
            detail = f"{book['link']} ended at {book['final_url']}"
            yield Violation(kind=Kind.MIXED_UP, of=book["job_id"], detail=detail)
        elif book["conclusion"] not in _FOUND[_token(book["link"]).partition("-")[0]]:
            detail = f"{book['link']} ended {book['conclusion']}"
            yield Violation(kind=Kind.MIXED_UP, of=book["job_id"], detail=detail)


def _token(link: str) -> str:
    """``/go/<kind>/<token>`` leads to ``/land/<token>/<number>``."""
    return link.split("/")[5]


def _is_of(final_url: str | None, link: str) -> bool:
    return not final_url or final_url == link or final_url.split("/")[4] == _token(link)


# ---- rows


def _every_row_holds_its_own_newest(facts: _Facts) -> Iterator[Violation]:
    jobs: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for book in facts["booked"]:
        if book["row_id"]:
            jobs[book["source_id"], book["row_id"]].append(book)
    overtaken = {
        book["job_id"]
        for book, gone, accepted in _links_gone(facts)
        if book["writeback"] == "conflict" and (accepted is None or accepted < gone)
    }
    for row in facts["row"]:
        of = f"{row['source_id']} {row['row_id']}"
        own = jobs[row["source_id"], row["row_id"]]
        if row["final_url"] and not any(_is_of(row["final_url"], job["link"]) for job in own):
            yield Violation(kind=Kind.WRONG_ROW, of=of, detail=f"holds {row['final_url']}")
            continue
        written = [
            job
            for job in own
            if job["writeback"] == "written"
            # Written by an agent that died with the word on its lips; then its owner put another
            # link there, and the next agent found that.
            or (job["job_id"] == row["job_id"] and job["job_id"] in overtaken)
        ]
        if not written:
            if row["final_url"] or row["job_id"]:
                detail = f"holds {row['final_url']}, and no job was written into it"
                yield Violation(kind=Kind.WRONG_ROW, of=of, detail=detail)
            continue
        # A cell knows whole seconds only: of one second, either may stand.
        checked = [job for job in written if job["conclusion"] not in _UNCHECKED]
        since = max((int(job["checked_at"]) for job in checked), default=0)
        may_stand = [job for job in written if int(job["checked_at"]) >= since]
        stands = next((job for job in own if job["job_id"] == row["job_id"]), None)
        if stands is None:
            detail = f"{len(written)} were written into it, it says {row['job_id'] or 'nothing'}"
            yield Violation(kind=Kind.UNWRITTEN, of=of, detail=detail)
        elif stands not in may_stand:
            detail = f"holds {row['job_id']}, newer ones were written"
            yield Violation(kind=Kind.STALE_ROW, of=of, detail=detail)
        elif row["conclusion"] != stands["conclusion"] or (
            stands["conclusion"] not in _UNCHECKED
            and row["final_url"] != (stands["final_url"] or "")
        ):
            detail = f"says {row['conclusion']} {row['final_url']}, not {_answer(stands)}"
            yield Violation(kind=Kind.UNWRITTEN, of=of, detail=detail)


def _nothing_is_written_beside_another_link(facts: _Facts) -> Iterator[Violation]:
    """Once its owner has put another link into a row, no result of the old one goes there."""
    for book, gone, accepted in _links_gone(facts):
        if book["writeback"] == "written" and accepted is not None and gone < accepted:
            detail = f"of {book['link']}, which stood nowhere any more"
            yield Violation(kind=Kind.WRONG_ROW, of=book["job_id"], detail=detail)


def _links_gone(facts: _Facts) -> Iterator[tuple[Event, int, int | None]]:
    """Jobs whose link was taken out of its row: when that was, and when their result came.

    None: the relay was killed before it could say so.
    """
    gone = {(event["source_id"], event["link"]): event["place"] for event in facts["disowned"]}
    accepted: dict[str, int] = {}
    for event in facts["reported"]:
        if event["state"] == "accepted":
            accepted.setdefault(event["job_id"], event["place"])
    for book in facts["booked"]:
        since = gone.get((book["source_id"], book["link"]))
        if since is not None:
            yield book, since, accepted.get(book["job_id"])


def _owners_keep_their_rows(facts: _Facts) -> Iterator[Violation]:
    owned = {(event["source_id"], event["link"]): event["note"] for event in facts["owned"]}
    for event in facts["disowned"]:
        owned.pop((event["source_id"], event["link"]), None)
    found = Counter((row["source_id"], row["link"], row["note"]) for row in facts["row"])
    for (source_id, link), note in owned.items():
        count = found.pop((source_id, link, note), 0)
        if count != 1:
            yield Violation(
                kind=Kind.OWNER, of=f"{source_id} {link}", detail=f"stands {count} times"
            )
    for source_id, link, note in found:
        detail = f"nobody put it there with {note!r}"
        yield Violation(kind=Kind.OWNER, of=f"{source_id} {link}", detail=detail)


# ---- what is left


def _nothing_is_left(facts: _Facts) -> Iterator[Violation]:
    for event in facts["left"]:
        if event["count"]:
            yield Violation(kind=Kind.LEFT, of=event["what"], detail=str(event["count"]))


def _nobody_falls(facts: _Facts) -> Iterator[Violation]:
    for event in facts["fell"]:
        detail = f"exit code {event['code']}: {event.get('words', '')}"
        yield Violation(kind=Kind.FELL, of=event["party"], detail=detail)


_JUDGES = (
    _nothing_is_lost,
    _a_key_has_one_answer,
    _quota_counts_what_was_admitted,
    _a_replay_does_nothing,
    _every_job_ends_once,
    _one_execution_counts,
    _a_final_stays,
    _books_agree_with_the_queue,
    _an_end_is_of_its_own_link,
    _every_row_holds_its_own_newest,
    _nothing_is_written_beside_another_link,
    _owners_keep_their_rows,
    _nothing_is_left,
    _nobody_falls,
)
