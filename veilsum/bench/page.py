"""The measured part of a page of the documentation: tables between two marks. Pure."""

from collections.abc import Iterable, Sequence

from privacy.errors import ConfigError

from . import round_screen, screen, settlement_screen, shares_screen
from .report import Report
from .round_report import RoundReport
from .settlement_report import SettlementReport
from .shares_report import SharesReport

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


def results(
    schemes: Sequence[Report | SharesReport],
    rounds: Sequence[RoundReport],
    settlements: Sequence[SettlementReport] = (),
) -> str:
    """Return the tables of all measurements, in Markdown."""
    parts = [f"{screen.measured_on(schemes[0].machine)}.\n", *map(_scheme, schemes)]
    return "\n".join([*parts, *map(_round, rounds), *map(settlement, settlements)])


def settlement(report: SettlementReport) -> str:
    """Return the tables of what a chain costs, in Markdown."""
    sizes = " ".join(f"--participants {size}" for size in report.participants())
    by_size = _table(settlement_screen.headings(report), settlement_screen.rows(report))
    once = _table(("operation", "gas"), settlement_screen.once_rows(report))
    words = f"{_sentence(settlement_screen.title(report))}."
    return f"`veilsum bench settlement {sizes}`\n\n{by_size}\n{words}\n\n{once}"


def _scheme(report: Report | SharesReport) -> str:
    command = (
        f"`veilsum bench scheme --scheme {report.scheme} --parameters {report.parameters} "
        f"--participants {report.participants} --value-bits {report.value_bits}`"
    )
    if isinstance(report, SharesReport):
        rows, words = shares_screen.rows(report), _shares_in_words(report)
    else:
        rows, words = screen.rows(report), _ckks_in_words(report)
    return f"{command}\n\n{_table(screen.HEADINGS, rows)}\n{words}\n"


def _ckks_in_words(report: Report) -> str:
    return (
        f"Veilsum: {screen.described(report.arithmetic)}. "
        f"Reference: {screen.reference_in_words(report)}."
    )


def _shares_in_words(report: SharesReport) -> str:
    arithmetic = report.arithmetic
    return (
        f"Veilsum: {arithmetic.components} components of words of {arithmetic.word_bits} bits, "
        f"{arithmetic.values_per_word} value in a word, {arithmetic.values_per_chunk} values a "
        f"chunk; coordinator means a seat. Reference: {report.reference.name}."
    )


def _round(report: RoundReport) -> str:
    command = (
        f"`veilsum bench round --scheme {report.scheme} --participants {report.participants} "
        f"--parameters {report.parameters} --value-bits {report.value_bits}`"
    )
    table = _table(round_screen.HEADINGS, round_screen.rows(report))
    words = f"{_sentence(round_screen.title(report))}. {round_screen.summary(report)}."
    return f"{command}\n\n{table}\n{words}\n"


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruler = ["---", *["---:"] * (len(headings) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, ruler, *rows))
