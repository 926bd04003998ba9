"""The main job: a file's rows become signed jobs, our own agent works them, rows come back."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from connector import intake
from connector.csv_file import CsvFile
from connector.errors import AlreadyRunning, UnsupportedFile
from connector.intake import Terms
from connector.locks import try_lock
from connector.registry import Registry
from connector.running import leftovers
from connector.running.course import Course, Screen
from connector.running.leftovers import Note
from connector.running.options import Options
from connector.running.own_agent import Errand, OwnAgent
from connector.running.relay_link import RelayLink
from connector.running.summary import Summary
from wire import ids


def run(
    options: Options,
    *,
    environ: Mapping[str, str],
    screen: Screen,
    stop: threading.Event,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Check every row of a file and write the answers into it.

    *stop* ends the run early: what is finished is written, the rest stays for the next run.
    Raises ConnectorError for a file that cannot be used and RelayError when the relay is not
    there or refuses; nothing was submitted then.
    """
    began = clock()
    with ExitStack() as stack:
        path = _usable(options.file)
        source_id = Registry(options.home).source_id_for(path)
        lock = options.home / "runs" / f"{source_id}.lock"
        if not stack.enter_context(try_lock(lock)):
            raise AlreadyRunning(path)
        source = CsvFile(path, source_id=source_id, columns=options.columns)
        source.check()

        screen.stage("starting the relay" if options.relay is None else "asking the relay")
        link = stack.enter_context(RelayLink(options, environ=environ))
        link.check()

        note = Note(options.home / "runs" / f"{source_id}.unfinished")
        if note:
            screen.stage("finishing what an earlier run left")
            # A run that checks every row takes over what still waits in the queue.
            with_queue = options.only_stale is not None
            leftovers.finish(
                partial(_agent, options, source, link, environ, until_empty=with_queue),
                with_queue=with_queue,
                stop=stop,
                clock=clock,
            )
        note.make()

        screen.stage("reading rows")
        now = datetime.now(UTC)
        terms = Terms(
            source_id=source_id,
            now=now,
            only_stale=options.only_stale,
            refresh_id=ids.new_refresh_id(now),
        )
        tally = intake.prepare(source, terms)
        hire = partial(_agent, options, source, link, environ)
        course = Course(source, terms, tally, link, hire, screen, stop, clock)
        course.follow()
        if course.is_settled:
            note.drop()
        return course.summary(seconds=clock() - began)


def _agent(
    options: Options,
    source: CsvFile,
    link: RelayLink,
    environ: Mapping[str, str],
    *,
    until_empty: bool = False,
) -> OwnAgent:
    """An agent for this file, at work."""
    errand = Errand(
        file=source.path,
        source_id=source.source_id,
        columns=options.columns,
        allow_private=options.allow_private,
        cafile=options.cafile,
        until_empty=until_empty,
    )
    return OwnAgent(
        errand,
        relay=link.url,
        credentials=link.credentials,
        home=options.home,
        environ=environ,
    )


def _usable(file: Path) -> Path:
    """The file's real path; a kind that is no table of rows is refused with what to do."""
    kind = file.suffix.lower()
    if kind in {".xlsx", ".xlsm", ".xls", ".ods"}:
        raise UnsupportedFile(file, "export the sheet as CSV and run that file")
    return Path(os.path.realpath(file))
