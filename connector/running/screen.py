"""What a person sees of a run: a stage line, a progress bar, a summary at the end."""

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from connector.running.estimate import Estimate, spoken
from connector.running.summary import Exit, Summary
from wire.vocab import STATUS_OF, CheckStatus, Conclusion, Writeback, check_status

WORDS: Final[Mapping[Conclusion, str]] = {
    Conclusion.VALID: "lands where it should",
    Conclusion.DOMAIN_MISMATCH: "lands on another domain than expected",
    Conclusion.DESTINATION_CHANGED: "lands elsewhere than last time",
    Conclusion.HTTP_4XX: "the page is not there (4xx)",
    Conclusion.HTTP_5XX: "the server has a problem (5xx)",
    Conclusion.BLOCKED: "the server refuses us",
    Conclusion.LINK_REMOVED: "the page says it was removed (410)",
    Conclusion.DNS_ERROR: "the host name does not exist",
    Conclusion.CONNECT_ERROR: "nobody answers at that address",
    Conclusion.TLS_ERROR: "the certificate is not right",
    Conclusion.TIMEOUT: "no answer in time",
    Conclusion.REDIRECT_LOOP: "the redirects go round in circles",
    Conclusion.TOO_MANY_REDIRECTS: "redirects and does not stop",
    Conclusion.BAD_REDIRECT: "a redirect to nowhere",
    Conclusion.BAD_RESPONSE: "the answer is not HTTP",
    Conclusion.BODY_TOO_LARGE: "the answer is too large",
    Conclusion.PROXY_ERROR: "the proxy failed",
    Conclusion.BROWSER_ERROR: "the browser failed",
    Conclusion.AGENT_LOST: "given up: every agent that took it was lost",
    Conclusion.INVALID_URL: "not a link",
    Conclusion.UNSUPPORTED_LINK: "not an http or https link",
    Conclusion.UNSAFE_TARGET: "leads to a private address; not fetched",
    Conclusion.PAUSED_BY_OPERATOR: "paused, not checked",
    Conclusion.ROW_MISSING: "the row is gone",
    Conclusion.ROW_IDENTITY_CONFLICT: "the row holds another link now",
    Conclusion.DUPLICATE_ROW_ID: "row_id stands twice, not checked",
    Conclusion.FRESH_ENOUGH: "checked recently, left alone",
    Conclusion.CHANNEL_INACTIVE: "its channel is not active",
    Conclusion.CANCELED: "canceled",
    Conclusion.SUPERSEDED: "replaced by a newer check of the row",
    Conclusion.JOB_EXPIRED: "no agent took it in time",
}

UNWRITTEN: Final[Mapping[Writeback, str]] = {
    Writeback.CONFLICT: "the row holds another link now; run again to check that one",
    Writeback.MISSING: "the row is gone",
    Writeback.DUPLICATE: "several rows share the id; give each its own",
    Writeback.FAILED: "it could not be written",
    Writeback.PENDING: "not written yet; run again",
}

_COLOURS: Final[Mapping[CheckStatus, str]] = {
    CheckStatus.VALID: "green",
    CheckStatus.FAILED: "red",
    CheckStatus.SKIPPED: "yellow",
    CheckStatus.QUEUED: "cyan",
    CheckStatus.RUNNING: "cyan",
}


def styled(conclusion: Conclusion) -> Text:
    """*conclusion* in the colour of its status: green valid, red failed, yellow skipped."""
    return Text(conclusion, style=_COLOURS[check_status(STATUS_OF[conclusion], conclusion)])


class Bar:
    """A progress bar on standard error; prints nothing at all when *quiet*."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def stage(self, text: str) -> None:
        """Say what is being done now."""
        if not self._quiet and self._console.is_terminal:
            self._console.print(Text(f"{text} …", style="dim"))

    def begin(self, total: int) -> None:
        """Show an empty bar of *total* rows."""
        if self._quiet or not self._console.is_terminal:
            return
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("[bold]checking"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("[dim]{task.fields[note]}"),
            console=self._console,
        )
        self._task = self._progress.add_task("checking", total=total, rate="", left="", note="")
        self._progress.start()

    def advance(self, settled: int, *, finished: int, estimate: Estimate, text: str = "") -> None:
        """Move the bar; *text* says what is being waited for."""
        if self._progress is None:
            return
        waiting = finished - settled
        self._progress.update(
            self._task,
            completed=finished,
            rate="" if estimate.rate is None else f"{estimate.rate:,.0f}/s",
            left="" if estimate.seconds_left is None else spoken(estimate.seconds_left),
            note=(text or (f"{waiting:,} to be written" if waiting else ""))[:60],
        )

    def end(self) -> None:
        """Leave the bar as it is."""
        if self._progress:
            self._progress.stop()
            self._progress = None


def show(summary: Summary, console: Console) -> None:
    """The summary for people: what was found, what was not written, where the file lies."""
    table = Table(title=counted(summary.rows, "row"), title_justify="left", show_edge=False)
    table.add_column("conclusion")
    table.add_column("rows", justify="right")
    table.add_column("", style="dim")
    for conclusion in Conclusion:
        if count := summary.by_conclusion.get(conclusion):
            table.add_row(styled(conclusion), f"{count:,}", WORDS[conclusion])
    console.print(table)
    console.print()
    place = "sheet" if summary.sheet else "file"
    for state, words in UNWRITTEN.items():
        if count := summary.by_writeback.get(state):
            unwritten = f"{counted(count, 'result')} not in the {place}"
            console.print(f"[red]{unwritten}[/]: {state}: {words}")
    for row in summary.not_written[:10]:
        console.print(Text(f"  {row.row_id}: {row.detail or row.writeback}", style="dim"))
    if summary.finished < summary.submitted:
        console.print(f"[red]{counted(summary.submitted - summary.finished, 'row')} unfinished[/]")
    if summary.trouble:
        console.print(f"[red]{summary.trouble}[/]")
    if summary.refusal is not None:
        refusal = summary.refusal
        console.print(f"[red]not all rows were taken[/]: {refusal} ({refusal.code})")
    if summary.p50_ms is not None:
        console.print(
            f"half of the links took {_took(summary.p50_ms)}, "
            f"95 % {_took(summary.p95_ms or 0)}; {summary.seconds:.1f} s in all"
        )
    where = summary.name if summary.sheet else str(summary.file)
    console.print(Text.assemble("results are in ", (where, "bold")))
    if summary.sheet:
        console.print(Text(summary.sheet), soft_wrap=True)


def counted(number: int, thing: str) -> str:
    """*number* of *thing*, as people say it."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _took(milliseconds: int) -> str:
    return f"up to {milliseconds:,} ms" if milliseconds else "under 1 ms"


def as_json(summary: Summary) -> dict[str, object]:
    """The summary for machines."""
    return {
        "file": str(summary.file) if summary.file else None,
        "sheet": summary.sheet or None,
        "name": summary.name,
        "source_id": summary.source_id,
        "refresh_id": summary.refresh_id,
        "relay": summary.relay,
        "rows": summary.rows,
        "submitted": summary.submitted,
        "finished": summary.finished,
        "by_conclusion": {str(word): count for word, count in summary.by_conclusion.items()},
        "by_writeback": {str(word): count for word, count in summary.by_writeback.items()},
        "not_written": [
            {"row_id": row.row_id, "writeback": row.writeback, "detail": row.detail}
            for row in summary.not_written
        ],
        "p50_ms": summary.p50_ms,
        "p95_ms": summary.p95_ms,
        "seconds": round(summary.seconds, 3),
        "rows_per_second": None if summary.rate is None else round(summary.rate, 1),
        "memory": [
            {"process": each.process, "pid": each.pid, "peak_mb": round(each.peak / 2**20, 1)}
            for each in summary.memory
        ],
        "trouble": summary.trouble,
        "refusal": None if summary.refusal is None else summary.refusal.code,
        "exit": Exit(summary.exit).name.lower(),
    }
