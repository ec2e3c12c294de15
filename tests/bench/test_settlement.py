"""Gas as `veilsum bench settlement` measures it: by the contracts that ship, within the limits."""

import io
import json

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from privacy.errors import ConfigError
from tests.bench.sample_reports import SETTLEMENT
from tests.contracts.test_gas import (
    MOST_FOR_A_COMMIT,
    MOST_FOR_A_FIRST_CLAIM,
    MOST_FOR_A_LATER_CLAIM,
)
from tests.contracts.test_gas_of_proofs import LARGEST as MOST_FOR_A_CHALLENGE
from veilsum.bench import settlement_screen
from veilsum.bench.settlement import run
from veilsum.bench.settlement_report import SettlementReport
from veilsum.cli import app

SIZE = 10


@pytest.fixture(scope="module")
def report() -> SettlementReport:
    return run(sizes=(SIZE,))


def test_what_is_promised_holds_on_the_embedded_chain(report: SettlementReport) -> None:
    """The figures are of whole transactions, as whoever sends them pays."""
    assert report.commit_gas[SIZE] <= MOST_FOR_A_COMMIT
    assert report.claim_gas_later[SIZE] <= MOST_FOR_A_LATER_CLAIM
    assert report.claim_gas_first[SIZE] <= MOST_FOR_A_FIRST_CLAIM
    assert report.challenge_gas[SIZE] <= MOST_FOR_A_CHALLENGE


def test_a_first_claim_costs_more_than_a_later_one_and_words_more_than_hashes(
    report: SettlementReport,
) -> None:
    """A table whose columns were exchanged would show."""
    assert report.claim_gas_first[SIZE] > report.claim_gas_later[SIZE]
    assert report.challenge_gas[SIZE] > report.challenge_leaf_gas[SIZE]
    assert report.challenge_bytes[SIZE] > 2 * 8 * report.leaf_words


def test_everything_that_is_shown_was_measured(report: SettlementReport) -> None:
    """And nothing that was measured is left out."""
    assert set(report.once_gas) == set(settlement_screen.ONCE)
    assert set(report.deploy_gas) == {"SumVerifier", "Settlement", "ModelRegistry"}
    assert all(gas > 21_000 for gas in report.once_gas.values())


@pytest.mark.parametrize("size", [3, 20_001])
def test_a_number_that_cannot_be_measured_is_refused(size: int) -> None:
    """Before a chain is begun."""
    with pytest.raises(ConfigError, match=f"participants: {size}; from 4 to 20,000"):
        run(sizes=(10, size))


def test_the_command_prints_each_figure_by_number_of_participants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that a script needs no more than a name and a number."""
    asked = []
    monkeypatch.setattr(
        "veilsum.bench.settlement.run", lambda sizes, watcher: asked.append(sizes) or SETTLEMENT
    )

    ended = CliRunner().invoke(
        app, ["bench", "settlement", "--participants", "10", "--participants", "1000", "--json"]
    )

    printed = json.loads(ended.stdout)
    assert asked == [[10, 1000]]
    assert printed["commit_gas"] == {"10": 124_000, "1000": 124_100}
    assert {"claim_gas_first", "claim_gas_later", "challenge_gas"} <= printed.keys()
    assert msgspec.json.decode(ended.stdout, type=SettlementReport) == SETTLEMENT


def test_people_get_a_table() -> None:
    console = Console(width=100, record=True, file=io.StringIO())

    settlement_screen.show(SETTLEMENT, console)

    shown = console.export_text()
    assert "challenge a wrong sum" in shown
    assert "307,000" in shown
    assert "deploy Settlement" in shown
