"""The help in docs/commands.md, as the commands print it: `python -m tests.command_pages`."""

import re
from collections.abc import Iterator

from typer.testing import CliRunner

from tests.source_tree import ROOT
from veilsum.cli import app
from veilsum.cli.walk import commands

PAGE = ROOT / "docs" / "commands.md"

_HELP = re.compile(r"```text\n\$ (veilsum [a-z -]*?) --help\n.*?```\n", re.DOTALL)


def help_of(name: str) -> str:
    """The help of a command, as a terminal of 80 columns shows it."""
    shown = CliRunner().invoke(app, [*name.split()[1:], "--help"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0, name
    return f"```text\n$ {name} --help\n{shown.stdout.strip()}\n```\n"


def written(text: str) -> str:
    """The page with the help of each command that it shows, and of those that it has left out."""
    text = _HELP.sub(lambda found: help_of(found[1]), text)
    for name in missing(text):
        text += f"\n## `{name}`\n\n{help_of(name)}"
    return text


def missing(text: str) -> Iterator[str]:
    """The commands whose help the page does not show."""
    for name, _ in commands(app):
        if f"$ {name} --help\n" not in text:
            yield name


def main() -> None:
    """Write the page."""
    PAGE.write_text(written(PAGE.read_text()))


if __name__ == "__main__":
    main()
