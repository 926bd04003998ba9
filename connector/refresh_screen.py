"""What a person sees of a refresh: what it waits for, how far it is, and how it ended."""

from collections import Counter

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from connector.relay_errors import RelayError
from connector.running.screen import UNWRITTEN, WORDS, counted, styled
from wire.models import RefreshProgress
from wire.vocab import Conclusion, RefreshState, Writeback


def phase_of(progress: RefreshProgress) -> str:
    """What is being done or waited for, in a few words."""
    match progress.state:
        case RefreshState.WAITING_FOR_AGENT:
            return "waiting for an agent that serves this source"
        case RefreshState.READING:
            return "reading rows"
        case RefreshState.RUNNING:
            left = progress.submitted - progress.finished
            return "checking links" if left else "writing rows"
        case state:
            return str(state)


def to_check(progress: RefreshProgress) -> int | None:
    """How many rows are to be checked, once that is known."""
    if progress.state is RefreshState.RUNNING or progress.rows is None:
        return progress.submitted or None
    return progress.rows - sum(progress.not_submitted.values())


class Watching:
    """A bar that follows a refresh, or a line for each phase where there is no terminal.

    Nothing at all when *quiet*.
    """

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._said = ""
        self._bar: Progress | None = None
        if console.is_terminal and not quiet:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[note]}"),
                console=console,
            )
            self._task = self._bar.add_task("asking the relay", total=None, note="")
            self._bar.start()

    def show(self, progress: RefreshProgress) -> None:
        """It is that far."""
        phase = phase_of(progress)
        note = progress.error.detail if progress.error else ""
        self._say(phase, note)
        if self._bar is not None:
            pending = progress.by_writeback.get(Writeback.PENDING, 0)
            if not note and pending:
                note = f"{pending:,} to be written"
            self._bar.update(
                self._task,
                description=phase,
                total=to_check(progress),
                completed=progress.finished,
                note=note[:60],
            )

    def away(self, error: RelayError) -> None:
        """The relay does not answer just now."""
        self._say("the relay is away", str(error))
        if self._bar is not None:
            self._bar.update(self._task, note="the relay is away")

    def end(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _say(self, phase: str, note: str) -> None:
        line = f"{phase}: {note}" if note else phase
        if self._quiet or self._bar is not None or line == self._said:
            return
        self._said = line
        self._console.print(Text(line), soft_wrap=True)


def summary(progress: RefreshProgress, console: Console) -> None:
    """How it ended, for people."""
    title = f"refresh {progress.refresh_id}: {progress.state}"
    if progress.rows is not None:
        title += f", {counted(progress.rows, 'row')}"
    table = Table(show_edge=False)
    table.add_column("conclusion")
    table.add_column("rows", justify="right")
    table.add_column("", style="dim")
    counts = Counter(progress.by_conclusion) + Counter(progress.not_submitted)
    for conclusion in Conclusion:
        if count := counts.get(conclusion):
            table.add_row(styled(conclusion), f"{count:,}", WORDS[conclusion])
    console.print(Text(title), soft_wrap=True)
    if counts:
        console.print(table)
    for state, words in UNWRITTEN.items():
        if count := progress.by_writeback.get(state):
            told = f"{counted(count, 'result')} not in the row: {state}: {words}"
            console.print(Text(told, style="red"))
    if progress.error is not None:
        told = f"{progress.error.detail} [{progress.error.code}]"
        console.print(Text(told, style="red"), soft_wrap=True)
