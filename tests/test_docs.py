"""The docs name what there is: commands, errors, settings, conclusions, columns."""

import re
from pathlib import Path

import click
import pytest

from agent.cli import main as agent_command
from connector.cli import main as linkrow_command
from relay.cli import main as relay_command
from wire.problems import PROBLEMS
from wire.vocab import ROW_COLUMNS, TOOL_COLUMNS, Conclusion, Writeback

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def text(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def commands() -> list[tuple[str, click.Command]]:
    found = []
    for name, group in (
        ("linkrow", linkrow_command),
        ("linkrow-relay", relay_command),
        ("linkrow-agent", agent_command),
    ):
        found += leaves(name, group)
    return found


def leaves(name: str, command: click.Command) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return [(name, command)]
    assert command.help
    below = sorted(command.commands.items())
    return [each for sub, under in below for each in leaves(f"{name} {sub}", under)]


@pytest.mark.parametrize(
    ("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_has_help_and_stands_in_the_docs(name: str, command: click.Command) -> None:
    assert command.help
    assert "\\b" not in command.help, "click knows the character, not its spelling"
    assert f"`{name}" in text("commands.md")
    for parameter in command.params:
        assert not isinstance(parameter, click.Option) or parameter.help, f"{name} {parameter.name}"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        *commands(),
        *((f"{each.name}", each) for each in (linkrow_command, relay_command, agent_command)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_help_lists_what_it_lists_line_by_line(name: str, command: click.Command) -> None:
    told = command.get_help(click.Context(command, info_name=name))

    assert "\\b" not in told
    assert "Exit codes:   0" not in told


def test_no_command_stands_in_the_docs_that_does_not_exist() -> None:
    exist = {name for name, _ in commands()}

    named = set(
        re.findall(
            r"^\| `(linkrow(?:-relay|-agent)?(?: [a-z]+)+)", text("commands.md"), re.MULTILINE
        )
    )

    assert named == exist


def test_the_table_of_errors_is_the_table_of_the_code() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d+) \|", text("errors.md"), re.MULTILINE)

    assert {code: int(status) for code, status in rows} == {
        code: problem.status for code, problem in PROBLEMS.items()
    }


@pytest.mark.parametrize("word", [*Conclusion, *Writeback], ids=str)
def test_every_word_of_the_vocabulary_is_explained(word: str) -> None:
    if word != Writeback.NONE:
        assert f"`{word}`" in text("concepts.md")


def test_the_docs_say_retry_where_the_code_does() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| \d+ \| ([a-z ]+) \|", text("errors.md"), re.MULTILINE)

    assert {code: word == "yes" for code, word in rows} == {
        code: problem.retry for code, problem in PROBLEMS.items()
    }


@pytest.mark.parametrize("column", [*ROW_COLUMNS, *TOOL_COLUMNS])
def test_every_column_of_ours_is_explained(column: str) -> None:
    assert f"`{column}`" in text("csv.md")


@pytest.mark.parametrize("name", ["links.csv", "example.csv"])
def test_a_template_has_every_row_column_in_order(name: str) -> None:
    template = (ROOT / "sheet_templates" / name).read_text("utf-8")

    assert template.splitlines()[0].split(",") == list(ROW_COLUMNS)


def test_every_setting_stands_in_the_docs() -> None:
    code = "".join(
        path.read_text("utf-8")
        for package in ("wire", "connector", "relay", "agent")
        for path in (ROOT / package).rglob("*.py")
    )

    used = set(re.findall(r"LINKROW_[A-Z_]+[A-Z]", code))

    assert used == set(
        re.findall(r"^\| `(LINKROW_[A-Z_]+)`", text("configuration.md"), re.MULTILINE)
    )


PAGES = [
    *sorted(DOCS.glob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
]
FOLDERS = "agent|bench|connector|deploy|docs|relay|sheet_templates|tests|wire"
FILE = re.compile(rf"`((?:{FOLDERS})/[\w./-]+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_test_that_a_page_names_is_there(page: Path) -> None:
    for name in FILE.findall(page.read_text("utf-8")):
        is_made = name.startswith("bench/results/")  # by make bench and make million
        assert is_made or (ROOT / name).exists(), f"{page.name} names {name}"
    for name, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text("utf-8")):
        assert f"def {test}(" in (ROOT / name).read_text("utf-8"), f"{name} has no {test}"


def test_links_between_the_docs_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} → {target}"
