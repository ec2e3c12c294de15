"""The measured part of a page of the documentation: tables between two marks. Pure."""

from collections.abc import Iterable, Sequence

from privacy.errors import ConfigError

from . import round_screen, screen
from .report import Report
from .round_report import RoundReport

BEGIN = "<!-- measured: begin -->"
END = "<!-- measured: end -->"


def with_results(page: str, results: str) -> str:
    """Return the page with these results between its marks, and nothing else changed.

    Raises:
        ConfigError: the page has not each mark once, in order.
    """
    if (page.count(BEGIN), page.count(END)) != (1, 1) or page.index(END) < page.index(BEGIN):
        raise ConfigError(f"the page needs one line {BEGIN} and below it one line {END}")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{results}\n{END}{after}"


def results(schemes: Sequence[Report], measured: RoundReport) -> str:
    """Return the tables of all measurements, in Markdown."""
    parts = [f"{screen.measured_on(schemes[0].machine)}.\n", *map(_scheme, schemes)]
    return "\n".join([*parts, _round(measured)])


def _scheme(report: Report) -> str:
    command = (
        f"`veilsum bench scheme --scheme {report.scheme} --parameters {report.parameters} "
        f"--participants {report.participants} --value-bits {report.value_bits}`"
    )
    words = (
        f"Veilsum: {screen.described(report.arithmetic)}. "
        f"Reference: {screen.reference_in_words(report)}."
    )
    return f"{command}\n\n{_table(screen.HEADINGS, screen.rows(report))}\n{words}\n"


def _round(report: RoundReport) -> str:
    command = (
        f"`veilsum bench round --participants {report.participants} --parameters "
        f"{report.parameters} --value-bits {report.value_bits}`"
    )
    table = _table(round_screen.HEADINGS, round_screen.rows(report))
    words = f"{_sentence(round_screen.title(report))}. {round_screen.summary(report)}."
    return f"{command}\n\n{table}\n{words}\n"


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruler = ["---", *["---:"] * (len(headings) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, ruler, *rows))
