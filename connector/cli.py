"""The command ``linkrow``: parse, build options, call one function, turn our errors into a line."""

import json
import os
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console

from connector import demo as demo_module
from connector.asking import Asked
from connector.command_line import age_of, columns_of, errors_as_lines, networks_of, stopping
from connector.home import home_of
from connector.refresh_commands import refresh
from connector.registered import Mode
from connector.running.course import Screen
from connector.running.options import Options
from connector.running.run import run as run_file
from connector.running.screen import Bar, as_json, show
from connector.running.summary import Exit
from connector.sign_commands import sign
from connector.source_commands import source


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("linkrow"), prog_name="linkrow")
def main() -> None:
    """Find out where every tracking link in a sheet really lands now.

    Try it:  linkrow demo        Your own file:  linkrow run links.csv
    """


@main.command()
@click.argument("what", metavar="FILE|SHEET_URL|KEY|TITLE")
@click.option("--relay", metavar="URL", help="A relay that is up; otherwise your own is started.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="OURS=THEIRS",
    callback=columns_of,
    help="Which heading holds one of our columns, as in tracking_url=Link. May be repeated.",
)
@click.option(
    "--only-stale",
    metavar="AGE",
    callback=age_of,
    help="Leave rows alone that were checked within AGE (90m, 24h, 7d).",
)
@click.option(
    "--allow-private",
    multiple=True,
    metavar="CIDR",
    callback=networks_of,
    help="Private network that links may lead to, as in 10.0.0.0/8. May be repeated.",
)
@click.option("--tab", metavar="TAB", default="", help="A sheet's tab: its title or gid.")
@click.option(
    "--results-tab",
    is_flag=True,
    help="Write results into a tab of their own: for a tab that is sorted all day.",
)
@click.option(
    "--credentials",
    type=click.Path(path_type=Path),
    help="Google credentials, a service account's key; else this machine's usual ones.",
)
@click.option("--cafile", type=click.Path(path_type=Path), help="CA certificates to trust (PEM).")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "in_json", is_flag=True, help="Print the summary as one JSON object.")
def run(
    what: str,
    relay: str | None,
    columns: dict[str, str],
    only_stale: timedelta | None,
    allow_private: tuple[str, ...],
    tab: str,
    results_tab: bool,
    credentials: Path | None,
    cafile: Path | None,
    quiet: bool,
    in_json: bool,
) -> None:
    """Check every link of a CSV file or a Google Sheet and write the answers into its rows.

    \b
    Exit codes:
      0  every row has its ending, in its row where one is written
      2  the file, the sheet or an option cannot be used; nothing was submitted
      3  a row could not be written, expired, was canceled or is unfinished
      4  the relay is not there, or refused
    """  # noqa: D301 - click wants the letter itself
    console = Console()
    asked = Asked(
        what=what,
        tab=tab,
        columns=columns,
        mode=Mode.RESULTS_TAB if results_tab else None,
        credentials=Path(os.path.realpath(credentials)) if credentials else None,
    )
    options = Options(
        asked=asked,
        home=home_of(os.environ),
        relay=relay,
        only_stale=only_stale,
        allow_private=allow_private,
        cafile=str(cafile) if cafile else None,
    )
    screen: Screen = Bar(Console(stderr=True), quiet=quiet or in_json)
    with stopping() as stop, errors_as_lines(in_json=in_json):
        summary = run_file(options, environ=os.environ, screen=screen, stop=stop)
    if in_json:
        click.echo(json.dumps(as_json(summary)))
    elif not quiet:
        show(summary, console)
    raise SystemExit(summary.exit)


@main.command()
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "in_json", is_flag=True, help="Print the rows as one JSON object.")
def demo(quiet: bool, in_json: bool) -> None:
    """See it work: a small website here, a CSV of links to it, a relay, a queue and an agent.

    Exit code 0 when every row got the conclusion the demo expects, else 3.
    """
    console = Console()
    screen: Screen = Bar(Console(stderr=True), quiet=quiet or in_json)
    with stopping() as stop, errors_as_lines(in_json=in_json):
        shown = demo_module.demo(
            home_of(os.environ) / "demo", environ=os.environ, screen=screen, stop=stop
        )
    if in_json:
        click.echo(json.dumps(demo_module.as_json(shown)))
    elif not quiet:
        demo_module.show(shown, console)
    raise SystemExit(Exit.OK if shown.is_as_expected else Exit.UNFINISHED)


main.add_command(refresh)
main.add_command(sign)
main.add_command(source)


if __name__ == "__main__":
    main()
