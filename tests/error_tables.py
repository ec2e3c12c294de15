"""The tables of docs/errors.md, from the catalogue: `python -m tests.error_tables` writes them."""

from collections.abc import Iterator
from pathlib import Path

from privacy import errors
from tests.source_tree import ROOT
from tests.test_architecture import every_error
from veilsum.catalogue import ENTRIES, STATUSES
from veilsum.cli import app
from veilsum.cli.walk import commands

PAGE = ROOT / "docs" / "errors.md"

FAMILIES = {
    errors.ConfigError: "configuration",
    errors.ProtocolError: "protocol",
    errors.PrivacyError: "privacy",
    errors.Unavailable: "time",
}


def codes() -> Iterator[str]:
    """One row for each code, in the order of the catalogue."""
    yield "| code | family | who must act | what it means | what to do |"
    yield "| --- | --- | --- | --- | --- |"
    classes = {error.code: error for error in every_error()}
    for code, entry in ENTRIES.items():
        kind = classes.get(code)
        family = next(
            (name for base, name in FAMILIES.items() if kind and issubclass(kind, base)), "none"
        )
        acts = entry.who_acts or (kind.who_acts if kind else "")
        yield f"| `{code}` | {family} | {acts} | {entry.means} | {entry.fix} |"


def statuses() -> Iterator[str]:
    """One row for each exit status that every command may have."""
    yield "| status | meaning |"
    yield "| --- | --- |"
    yield from (f"| {each.number} | {each.means} |" for each in STATUSES)


def verdicts() -> Iterator[str]:
    """One row for each exit status that is a command's verdict."""
    yield "| command | status | meaning |"
    yield "| --- | --- | --- |"
    for name, command in commands(app):
        for number, means in getattr(command.callback, "verdicts", {}).items():
            yield f"| `{name}` | {number} | {means} |"


TABLES = {"codes": codes, "statuses": statuses, "verdicts": verdicts}


def written(text: str) -> str:
    """The page with each table as it must be; a table stands between two comments."""
    for name, rows in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        assert after, f"docs/errors.md has no place for {name}"
        text = before + begin + "\n" + "\n".join(rows()) + "\n\n" + end + after
    return text


def main(page: Path = PAGE) -> None:
    """Write the tables into the page."""
    page.write_text(written(page.read_text()))


if __name__ == "__main__":
    main()
