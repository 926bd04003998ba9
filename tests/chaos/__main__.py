"""``python -m tests.chaos``: run seeds, say how it went, keep what went wrong."""

import json
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

import click

from tests.chaos.checker import Violation
from tests.chaos.plan import plan_of
from tests.chaos.run import Verdict, as_json, clean_up, judge, run

_SHOWN = 10


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seeds", default=20, show_default=True, help="How many runs.")
@click.option("--first", default=1, show_default=True, help="The first one's seed.")
@click.option("--jobs", default=10_000, show_default=True, help="How many jobs in each, at least.")
@click.option("--json", "in_json", is_flag=True, help="Print the verdicts as JSON.")
@click.option("--keep", is_flag=True, help="Keep what went well, too.")
@click.option(
    "--judge",
    "kept",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Judge a history that was kept; run nothing.",
)
def main(seeds: int, first: int, jobs: int, in_json: bool, keep: bool, kept: Path | None) -> None:
    """Prove promise 1: every acknowledged job ends once, in its own row, whatever dies meanwhile.

    Exit code 0 when nothing was violated, else 1.
    """
    if kept is not None:
        _tell_violations(violations := judge(kept))
        click.echo(f"{len(violations)} violations")
        raise SystemExit(bool(violations))
    signal.signal(signal.SIGTERM, _end)
    verdicts = []
    for seed in range(first, first + seeds):
        verdicts.append(_run(seed, jobs=jobs, keep=keep))
        _tell(verdicts[-1], jobs=jobs)
    if in_json:
        click.echo(json.dumps([as_json(verdict) for verdict in verdicts]))
    else:
        _summarise(verdicts)
    raise SystemExit(any(verdict.violations for verdict in verdicts))


def _end(number: int, frame: object) -> None:
    """In order: no process of a run outlives it."""
    raise SystemExit(128 + number)


def _run(seed: int, *, jobs: int, keep: bool) -> Verdict:
    is_watched = sys.stderr.isatty()

    def progress(text: str) -> None:
        if is_watched:
            click.echo(f"\r\033[Kseed {seed}: {text}", nl=False, err=True)

    # Short: sockets live in it, and a socket's path may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix=f"lr-chaos-{seed}-", dir="/tmp"))
    try:
        verdict = run(plan_of(seed, jobs=jobs), folder, progress=progress)
    except BaseException:
        click.echo(f"seed {seed} was not finished; what there is of it: {folder}", err=True)
        raise
    if is_watched:
        click.echo("\r\033[K", nl=False, err=True)
    if not verdict.violations and not keep:
        clean_up(folder)
    return verdict


def _tell(verdict: Verdict, *, jobs: int) -> None:
    figures = verdict.figures
    words = ", ".join(f"{figures.get(name, 0)} {name}" for name in ("kills", "stops", "faults"))
    click.echo(
        f"seed {verdict.seed}: {verdict.jobs} jobs, {words}, "
        f"{len(verdict.violations)} violations, {verdict.seconds:.0f} s",
        err=True,
    )
    if verdict.violations:
        _tell_violations(verdict.violations)
        again = f"python -m tests.chaos --first {verdict.seed} --seeds 1 --jobs {jobs}"
        click.echo(f"  history: {verdict.history}; again: {again}", err=True)


def _tell_violations(violations: list[Violation]) -> None:
    for violation in violations[:_SHOWN]:
        click.echo(f"  {violation}", err=True)
    if len(violations) > _SHOWN:
        kinds = Counter(violation.kind for violation in violations)
        click.echo(
            f"  and more: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}", err=True
        )


def _summarise(verdicts: list[Verdict]) -> None:
    total: Counter[str] = Counter()
    for verdict in verdicts:
        total.update(verdict.figures)
    click.echo(f"\n{len(verdicts)} seeds")
    click.echo(f"{sum(verdict.jobs for verdict in verdicts):>9}  jobs")
    for name, count in sorted(total.items()):
        click.echo(f"{count:>9}  {name}")
    click.echo(f"{sum(len(verdict.violations) for verdict in verdicts):>9}  violations")


if __name__ == "__main__":
    main()
