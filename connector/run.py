"""The main job: a file's rows become signed jobs, our own agent works them, rows come back."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from connector import intake
from connector.course import Course, Screen
from connector.csv_file import CsvFile
from connector.errors import AlreadyRunning, UnsupportedFile
from connector.intake import Terms
from connector.locks import try_lock
from connector.options import Options
from connector.registry import Registry
from connector.relay_link import RelayLink
from connector.summary import Summary
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

        screen.stage("reading rows")
        now = datetime.now(UTC)
        terms = Terms(
            source_id=source_id,
            now=now,
            only_stale=options.only_stale,
            refresh_id=ids.new_refresh_id(now),
        )
        tally = intake.prepare(source, terms)
        course = Course(options, source, terms, tally, link, environ, screen, stop, clock)
        course.follow()
        return course.summary(seconds=clock() - began)


def _usable(file: Path) -> Path:
    """The file's real path; a kind that is no table of rows is refused with what to do."""
    kind = file.suffix.lower()
    if kind in {".xlsx", ".xlsm", ".xls", ".ods"}:
        raise UnsupportedFile(file, "export the sheet as CSV and run that file")
    return Path(os.path.realpath(file))
