"""The main job: a source's rows become signed jobs, our own agent works them, rows come back."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from connector import intake
from connector.asking import UNSAVED
from connector.errors import AlreadyRunning
from connector.intake import Terms
from connector.locks import try_lock
from connector.opening import open_source, run_lock
from connector.registered import RegisteredSource
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
    """Check every row of a file or a sheet and write the answers into it.

    *stop* ends the run early: what is finished is written, the rest stays for the next run.
    Raises ConnectorError for what cannot be used and RelayError when the relay is not
    there or refuses; nothing was submitted then.
    """
    began = clock()
    with ExitStack() as stack:
        entry, is_registered = _entry(options, environ=environ)
        source_id = entry.source_id
        if not stack.enter_context(try_lock(run_lock(options.home, source_id))):
            raise AlreadyRunning(entry.place, is_registered=is_registered)
        source = open_source(entry, home=options.home, environ=environ)
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
                partial(_agent, options, entry, link, environ, until_empty=with_queue),
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
        hire = partial(_agent, options, entry, link, environ)
        course = Course(source, entry.place, terms, tally, link, hire, screen, stop, clock)
        course.follow()
        if course.is_settled:
            note.drop()
        return course.summary(seconds=clock() - began)


def _entry(options: Options, *, environ: Mapping[str, str]) -> tuple[RegisteredSource, bool]:
    """The source as it is to be worked on, and whether agents are to serve it too."""
    registry = Registry(options.home)
    entry = options.asked.source(registry, environ=environ)
    if entry.source_id == UNSAVED:
        return replace(entry, source_id=registry.source_id_of(entry.place)), False
    return entry, not entry.is_paused


def _agent(
    options: Options,
    entry: RegisteredSource,
    link: RelayLink,
    environ: Mapping[str, str],
    *,
    until_empty: bool = False,
) -> OwnAgent:
    """An agent for this source, at work."""
    errand = Errand(
        entry=entry,
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
