"""Tables of the documentation: all figures are in them, and nothing else on the page moves."""

from pathlib import Path

import msgspec
import pytest

from privacy.errors import ConfigError
from veilsum.bench.page import BEGIN, END, results, with_results
from veilsum.bench.report import Report
from veilsum.bench.round_report import RoundReport
from veilsum.bench.settlement_report import SettlementReport
from veilsum.bench.shares_report import SharesReport

from .sample_reports import ROUND, SCHEME, SETTLEMENT, SHARED_ROUND, SHARES

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def cells(text: str, label: str) -> list[str]:
    """The row of that label."""
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {label} |")]
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def test_a_scheme_is_shown_beside_the_reference() -> None:
    """With the ratio, where there is one."""
    text = results([SCHEME], [ROUND])

    assert cells(text, "bytes per parameter, up") == ["7.53", "57.59", "7.6"]
    assert cells(text, "bytes per parameter, down") == ["7.52", "57.58", ""]
    assert cells(text, "protect, µs per parameter") == ["0.1270", "0.8280", "6.5"]
    assert cells(text, "fold one contribution, µs per parameter")[2] == "27.1"
    assert cells(text, "peak memory, coordinator, MiB") == ["48", "101", ""]
    assert "57.50 bytes up, 0.493 µs to protect" in text
    assert "2 in each half of a slot" in text
    assert "2^-55" in text


def test_a_round_is_shown_stage_by_stage() -> None:
    """In the order in which stages began; a stage that was not there has no row."""
    text = results([SCHEME], [ROUND])

    assert cells(text, "protect") == ["2.0", "20.0", "10.0 … 15.0 … 20.0", "4.2 … 5.6 … 8.4"]
    assert text.index("| upload |") < text.index("| protect |") < text.index("| fold |")
    assert "| audit |" not in text
    assert "coordinator 130, agent 97, worker 310, encryptor 70" in text
    assert "exact: yes" in text
    assert "7.53 bytes up" in text


def test_a_sum_that_is_not_exact_is_seen() -> None:
    """In the table of the scheme and in the words on the round."""
    wrong = msgspec.structs.replace(SCHEME, exact=False)

    text = results([wrong], [msgspec.structs.replace(ROUND, exact=False)])

    assert cells(text, "exact") == ["NO", "yes", ""]
    assert "exact: NO" in text


def test_every_table_says_by_which_command_it_was_made() -> None:
    """So that a reader can repeat it."""
    text = results([SCHEME], [ROUND])

    assert "`veilsum bench scheme --scheme ckks --parameters 1000000 --participants 8" in text
    assert "`veilsum bench round --scheme ckks --participants 8 --parameters 11700000" in text
    assert "A processor, 2 cores, 24 GiB" in text


def test_only_what_is_between_the_marks_changes() -> None:
    """Twice is as once."""
    page = f"before\n{BEGIN}\n\nold | tables\n{END}\nafter\n"

    once = with_results(page, "new\n")

    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert with_results(once, "new\n") == once


@pytest.mark.parametrize(
    "page",
    ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"],
)
def test_a_page_without_its_marks_is_left_alone(page: str) -> None:
    """Rather than losing what stands between the wrong ones."""
    with pytest.raises(ConfigError, match="needs one line"):
        with_results(page, "new")


def test_the_page_has_its_marks() -> None:
    """`make bench` measures for minutes before it needs them."""
    assert "new" in with_results(PAGE.read_text(), "new")


def test_shares_stand_beside_ckks_with_what_only_they_have() -> None:
    """Whoever chooses a scheme reads the same rows of both."""
    text = results([SCHEME, SHARES], [ROUND, SHARED_ROUND])

    up = [line for line in text.splitlines() if line.startswith("| bytes per parameter, up |")]
    assert [line.split("|")[2].strip() for line in up] == ["7.53", "8.03"]
    assert cells(text, "norm bound check, a component") == ["22.83", "", ""]
    assert cells(text, "judge") == ["26.0", "6.0", "", ""]
    assert "`veilsum bench scheme --scheme shares --parameters 1000000" in text
    assert "`veilsum bench round --scheme shares --participants 8" in text
    assert "three seats that ask for the norm bound" in text
    assert "the other reference" in text
    assert "seat 240" in text


def test_a_chain_is_shown_by_operation_and_number_of_participants() -> None:
    """And what does not depend on them, below it."""
    text = results([SCHEME], [ROUND], [SETTLEMENT])

    assert "`veilsum bench settlement --participants 10 --participants 1000`" in text
    assert cells(text, "challenge a wrong sum") == ["287,000", "307,000"]
    assert cells(text, "commit a round") == ["124,000", "124,100"]
    assert cells(text, "deploy Settlement") == ["4,500,000"]
    assert "leaves of 256 words, 16 levels over them" in text


@pytest.mark.parametrize(
    "report",
    [SCHEME, SHARES, ROUND, SHARED_ROUND, SETTLEMENT],
    ids=["ckks", "shares", "round", "shared-round", "settlement"],
)
def test_reports_are_read_back_as_they_were_printed(
    report: Report | SharesReport | RoundReport | SettlementReport,
) -> None:
    """The page is written from the JSON of the commands."""
    printed = msgspec.json.format(msgspec.json.encode(report))

    assert msgspec.json.decode(printed, type=type(report)) == report
