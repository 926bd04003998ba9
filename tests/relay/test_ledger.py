"""The books, on SQLite and on PostgreSQL: tables, keys, pages and what a lost Redis needs."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from relay.errors import LedgerNotMigrated, LedgerUnavailable
from relay.events import Admitted, FinalEvent, SourceEvent, admitted_job
from relay.ledger.accounts import Plan
from relay.ledger.bookings import Entry, _rows
from relay.ledger.ledger import Ledger
from relay.ledger.schema import OWED, UNFINISHED, jobs, key_secrets, keys, metadata
from relay.ledger.upgrades import migrations
from relay.secret_box import SecretBox
from wire.errors import Malformed
from wire.vocab import Conclusion, JobStatus, KeyKind, Scope, Writeback

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BORN = NOW.timestamp()
BOX = SecretBox(bytes(32))
SMALL = Plan(name="small", rows_per_day=10, max_depth=5, api_links=False)


@pytest.fixture
def account(ledger: Ledger) -> str:
    ledger.put_plan(SMALL)
    return ledger.add_account("ours", plan="small", now=NOW)


def admitted(*row_ids: str, account: str = "acct_a", at: float = BORN, **more: str) -> Entry:
    link = {"tracking_url": "https://trk.example/a", "source_id": "src_a"}
    event = Admitted(
        account_id=account, key_id="lrk_a", device_id=None, timestamp=int(at), nonce="n" * 16,
        body_sha256="0" * 64, at=at,
        jobs=tuple(
            admitted_job(
                str(uuid.uuid5(uuid.NAMESPACE_URL, f"{account}/{row_id}")),
                link | {"row_id": row_id} | more,
            )
            for row_id in row_ids
        ),
    )  # fmt: skip
    return Entry(entry_id=f"{at}-{row_ids[0]}", event=event)


def final(job_id: str, **more: object) -> Entry:
    given: dict[str, object] = {
        "job_id": job_id, "account_id": "acct_a", "at": BORN + 5, "status": JobStatus.DONE,
        "conclusion": Conclusion.VALID, "outcome": "", "final_url": None,
        "destination_changed": None, "skip_reason": "", "attempts": 1,
        "device_id": "dev_1", "writeback": Writeback.PENDING,
    }  # fmt: skip
    return Entry(entry_id=f"f{job_id}", event=FinalEvent(**(given | more)))


def ids_of(entry: Entry) -> list[str]:
    return [job.job_id for job in entry.event.jobs]


def test_the_migrations_make_the_tables_that_the_schema_names(ledger: Ledger) -> None:
    with ledger._begin() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), metadata)

    assert difference == []


def test_migrating_again_or_at_once_does_no_harm(database_url: str) -> None:
    ledgers = [Ledger.open(database_url) for _ in range(4)]
    failures: list[Exception] = []

    def migrate(ledger: Ledger) -> None:
        try:
            ledger.migrate()
        except Exception as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=migrate, args=[ledger]) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    ledgers[0].check_version()
    for ledger in ledgers:
        ledger.close()


def test_a_new_file_that_many_open_at_once_is_refused_to_nobody(tmp_path: Path) -> None:
    """SQLite waits for nobody while it switches to its write-ahead log: so we do."""

    def opened(ledger: Ledger) -> None:
        together.wait()
        ledger.ping()

    together = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        for number in range(100):
            url = f"sqlite:///{tmp_path / f'{number}.sqlite3'}"
            ledgers = [Ledger.open(url) for _ in range(8)]
            list(pool.map(opened, ledgers))
            for ledger in ledgers:
                ledger.close()


def test_tables_of_another_version_are_said_with_the_cure(database_url: str) -> None:
    ledger = Ledger.open(database_url)

    with pytest.raises(LedgerNotMigrated, match="linkrow-relay init"):
        ledger.check_version()

    ledger.close()


def test_a_database_that_is_gone_is_our_error() -> None:
    with pytest.raises(LedgerUnavailable):
        Ledger.open("postgresql+psycopg://nobody@127.0.0.1:1/none").ping()


def test_a_key_comes_with_its_secret_its_scopes_and_its_plan(ledger: Ledger, account: str) -> None:
    made = ledger.add_key(
        account, kind=KeyKind.DEVICE, scopes=frozenset({Scope.AGENT}), name="mine", box=BOX, now=NOW
    )

    key = ledger.key(made.key_id, box=BOX, now=NOW)

    assert key
    assert (key.account_id, key.kind, key.device_id) == (account, KeyKind.DEVICE, made.device_id)
    assert (key.scopes, key.plan) == (frozenset({Scope.AGENT}), SMALL)
    assert key.secrets == (made.secret,)
    assert made.secret not in repr(key) + repr(made)
    assert ledger.key("lrk_nobody", box=BOX, now=NOW) is None


def test_a_revoked_key_is_none(ledger: Ledger, account: str) -> None:
    made = ledger.add_key(
        account, kind=KeyKind.API, scopes=frozenset(), name="mine", box=BOX, now=NOW
    )

    ledger.revoke_key(made.key_id, now=NOW)

    assert ledger.key(made.key_id, box=BOX, now=NOW) is None
    assert ledger.knows_key(made.key_id)
    assert not ledger.has_key(account, KeyKind.API)


def test_up_to_three_secrets_live_until_they_run_out_newest_first(
    ledger: Ledger, account: str
) -> None:
    made = ledger.add_key(
        account, kind=KeyKind.API, scopes=frozenset(), name="mine", box=BOX, now=NOW
    )
    with ledger._begin() as connection:
        for hours, life in ((1, 24), (2, 24), (3, 24), (4, -1)):
            connection.execute(
                key_secrets.insert(),
                {
                    "key_id": made.key_id,
                    "sealed": BOX.seal(f"secret {hours}", key_id=made.key_id),
                    "master_key_version": 1,
                    "created_at": (NOW + timedelta(hours=hours)).timestamp(),
                    "expires_at": (NOW + timedelta(hours=life)).timestamp(),
                },
            )

    key = ledger.key(made.key_id, box=BOX, now=NOW)

    assert key
    assert key.secrets == ("secret 3", "secret 2", "secret 1")


def test_plan_limits_change_for_everybody_on_it(ledger: Ledger, account: str) -> None:
    made = ledger.add_key(
        account, kind=KeyKind.API, scopes=frozenset(), name="mine", box=BOX, now=NOW
    )

    ledger.set_plan_limits("small", rows_per_day=None, max_depth=7)

    key = ledger.key(made.key_id, box=BOX, now=NOW)
    assert key
    assert (key.plan.rows_per_day, key.plan.max_depth) == (None, 7)


def test_pages_hold_every_job_once_newest_first(ledger: Ledger) -> None:
    batches = [admitted(f"r_{n}", f"s_{n}", at=BORN + n) for n in range(5)]
    ledger.record(batches)

    pages, cursor = [], None
    while True:
        page, cursor = ledger.jobs("acct_a", limit=3, cursor=cursor)
        pages.append([record.job_id for record in page])
        if cursor is None:
            break

    listed = [job_id for page in pages for job_id in page]
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert len(set(listed)) == 10
    assert [set(listed[at : at + 2]) for at in range(0, 10, 2)] == [
        set(ids_of(batch)) for batch in reversed(batches)
    ]


def test_lists_keep_to_their_account_and_their_filters(ledger: Ledger) -> None:
    ours, theirs = admitted("r_1", "r_2"), admitted("r_1", account="acct_b")
    first, second = ids_of(ours)
    ledger.record([ours, theirs, final(first)])

    def found(**filters: object) -> list[str]:
        return [record.job_id for record in ledger.jobs("acct_a", **filters)[0]]

    assert found(row_id="r_1") == [first]
    assert found(status=JobStatus.DONE) == [first]
    assert found(status=JobStatus.QUEUED) == [second]
    assert found(conclusion=Conclusion.VALID, source_id="src_a") == [first]
    assert found(source_id="src_b") == []
    assert ledger.job("acct_b", first) is None


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "garbage", "1e9", "\N{SNOWMAN}", "A" * 5000, "WzFlNTAwLCJhIl0", "WyJhIiwiYiJd",
     "W251bGwsbnVsbF0", "e30", "WzEsIlx1MDAwMCJd", "WzEsIlx1ZDgwMCJd", "W05hTiwiYSJd"],
)  # fmt: skip
def test_a_strangers_cursor_is_refused_or_finds_nothing(ledger: Ledger, cursor: str) -> None:
    try:
        page, following = ledger.jobs("acct_a", cursor=cursor)
    except Malformed:
        return

    assert (page, following) == ([], None)


def test_what_a_lost_redis_needs_is_read_in_order(ledger: Ledger) -> None:
    early, late = admitted("r_1", at=BORN), admitted("r_2", "r_3", at=BORN + 1)
    ledger.record([late, early, final(ids_of(late)[0])])
    ledger.record(
        [Entry(entry_id="s", event=SourceEvent(
            source_id="src_a", account_id="acct_a", at=BORN, device_id=None))]
    )  # fmt: skip

    assert [job.job_id for job in ledger.unfinished()] == [ids_of(early)[0], ids_of(late)[1]]
    assert [job.job_id for job in ledger.owed()] == [ids_of(late)[0]]
    assert ledger.all_sources() == [("src_a", "acct_a")]
    assert ledger.admitted_on(int(BORN) // 86400) == [("acct_a", 3)]
    assert ledger.admitted_on(int(BORN) // 86400 + 1) == []


def test_more_than_a_page_of_unfinished_jobs_is_read_whole(ledger: Ledger) -> None:
    ledger.record([admitted(*(f"r_{n}" for n in range(2500)))])

    assert len({job.job_id for job in ledger.unfinished()}) == 2500


def test_what_an_agent_reports_may_hold_any_character(ledger: Ledger) -> None:
    batch = admitted("r_1")
    ledger.record([batch, final(ids_of(batch)[0], skip_reason="a\0b \N{SNOWMAN}")])

    job = ledger.job("acct_a", ids_of(batch)[0])

    assert job
    assert job.skip_reason == "a\N{REPLACEMENT CHARACTER}b \N{SNOWMAN}"


def test_sqlite_does_not_lose_what_it_acknowledged(tmp_path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    with ledger._begin() as connection:
        words = {
            name: connection.execute(sa.text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    ledger.close()

    assert words == {
        "journal_mode": "wal", "synchronous": 2, "busy_timeout": 10000, "foreign_keys": 1,
    }  # fmt: skip


def test_books_of_an_earlier_version_are_brought_up_with_what_they_hold(database_url: str) -> None:
    old = Ledger.open(database_url)
    with old._begin() as connection:
        config = migrations()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(jobs.insert(), list(_rows(admitted("r_1").event)))
    with pytest.raises(LedgerNotMigrated, match="0001"):
        old.check_version()

    old.migrate()

    old.check_version()
    assert [job.job_id for job in old.unfinished()] == ids_of(admitted("r_1"))
    old.record([admitted("r_2")])
    old.close()


def test_devices_of_an_earlier_version_may_make_sources_now(database_url: str) -> None:
    ledger = Ledger.open(database_url)
    with ledger._begin() as connection:
        config = migrations()
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
    ledger.put_plan(SMALL)
    account = ledger.add_account("ours", plan="small", now=NOW)
    old = {Scope.AGENT, Scope.JOBS_WRITE, Scope.JOBS_READ}
    wanted = {
        ledger.add_key(
            account, kind=kind, scopes=frozenset(before), name="", box=BOX, now=NOW
        ).key_id: after
        for kind, before, after in (
            (KeyKind.DEVICE, old, old | {Scope.SOURCES_WRITE}),
            (KeyKind.DEVICE, old | {Scope.SOURCES_WRITE}, old | {Scope.SOURCES_WRITE}),
            (KeyKind.DEVICE, {Scope.JOBS_READ}, {Scope.JOBS_READ}),
            (KeyKind.API, {Scope.JOBS_READ}, {Scope.JOBS_READ}),
        )
    }

    ledger.migrate()

    for name, after in wanted.items():
        key = ledger.key(name, box=BOX, now=NOW)
        assert key
        assert key.scopes == after
    with ledger._begin() as connection:
        scopes = connection.execute(sa.select(keys.c.scopes)).scalars()
        assert all(len(words.split()) == len(set(words.split())) for words in scopes)
    ledger.close()


@pytest.mark.parametrize(
    ("condition", "index"), [(UNFINISHED, "ix_jobs_unfinished"), (OWED, "ix_jobs_owed")]
)
def test_a_rebuild_reads_no_more_than_it_needs(tmp_path, condition, index: str) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    ledger.migrate()
    asked: list[tuple[str, object]] = []

    def note(connection, cursor, statement, parameters, context, executemany) -> None:
        asked.append((statement, parameters))

    sa.event.listen(ledger._engine, "before_cursor_execute", note)
    list(ledger._walk(condition))
    sa.event.remove(ledger._engine, "before_cursor_execute", note)

    with ledger._begin() as connection:
        statement, parameters = asked[0]
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    ledger.close()
    assert len(plan) == 1, "no sorting"
    assert f"USING INDEX {index}" in plan[0][3]
