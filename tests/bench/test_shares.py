"""What the measurement of shares says, and that it notices a sum or a product that is wrong."""

import json
import subprocess
import sys
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from rich.console import Console

from privacy.errors import UnsafeParameters
from privacy.schemes.shares.layout import fitting
from veilsum.bench import shares, shares_stages
from veilsum.bench.report import Costs
from veilsum.bench.scheme import run
from veilsum.bench.shares_report import SharesReport
from veilsum.bench.shares_screen import show

pytest.importorskip("torch")

DIMENSION = 70_000


@pytest.fixture(scope="module")
def report() -> SharesReport:
    found = run(scheme="shares", parameters=DIMENSION, participants=4, value_bits=16)
    assert isinstance(found, SharesReport)
    return found


def test_the_report_has_what_that_of_ckks_has(report: SharesReport) -> None:
    """Whoever compares schemes reads the same names."""
    names = {each.name for each in msgspec.structs.fields(Costs)}
    printed = msgspec.to_builtins(report)

    assert printed.keys() >= names | {"arithmetic", "reference", "ratio", "machine", "seconds"}
    assert printed["reference"].keys() >= names


def test_everything_that_opens_is_exact(report: SharesReport) -> None:
    """The sum, packed or not, norms, dot products, and the reference's sum."""
    assert report.exact
    assert report.packed.exact
    assert report.questions.exact
    assert report.reference.exact


def test_bytes_are_those_of_words_tags_and_seals(report: SharesReport) -> None:
    """Seals cost 3,624 bytes, whatever the length."""
    sent = 8 * DIMENSION + 3 * 16 + 3 * (1136 + 64 + 8)

    assert report.bytes_per_parameter_up == sent / DIMENSION
    assert report.packed.values_per_word == 3
    assert report.packed.bytes_per_parameter_up < 4.1


def test_figures_are_positive(report: SharesReport) -> None:
    """No limit in time: machines differ, and are shared."""
    questions = report.questions
    figures = [
        report.protect_us_per_parameter,
        report.aes_ctr_us_per_parameter,
        report.fold_gb_per_second,
        report.accept_gb_per_second,
        report.open_us_per_parameter,
        questions.norm_ns,
        questions.dot_ns,
        questions.bound_ns,
        questions.expand_ns,
    ]

    assert min(figures) > 0


def test_a_wrong_sum_or_product_is_not_exact(monkeypatch, tmp_path) -> None:
    """In one value, or in one share of one norm."""
    parameters = fitting(value_bits=16, cohort_max=3, scored=True)
    workload = shares.workload_for(parameters, 600)
    parties = shares_stages.Parties.generate()
    shares_stages.protect(parameters, parties, workload, tmp_path)
    seats = [shares_stages.fold(seat, parameters, parties, workload, tmp_path) for seat in range(3)]
    measured = shares.Measured(None, seats, 0.0, True, 0.0, None)
    wrong = msgspec.structs.replace(seats[0], norms=[seats[0].norms[0] + 1, *seats[0].norms[1:]])

    _, exact, _ = shares_stages.open_sum(parameters, workload, tmp_path)
    assert exact
    assert shares._questions(measured, workload).exact
    assert not shares._questions(replace(measured, seats=[wrong, *seats[1:]]), workload).exact

    true_total = type(workload).total
    monkeypatch.setattr(
        type(workload), "total", lambda self, chunk: true_total(self, chunk) + np.eye(1, 600)[0]
    )
    _, exact, _ = shares_stages.open_sum(parameters, workload, tmp_path)
    assert not exact


def test_what_no_parameters_fit_is_refused() -> None:
    """The same refusal as at plan time."""
    with pytest.raises(UnsafeParameters, match="value bits 41"):
        shares.run(parameters=8, participants=2, value_bits=41)


def test_the_table_says_what_was_measured(report: SharesReport) -> None:
    console = Console(width=100, record=True, highlight=False)

    show(report, console)

    text = console.export_text()
    for said in ("bytes per parameter, up", "fold at a seat", "norm bound check", "CrypTen"):
        assert said in text


def test_the_command_prints_one_json_object() -> None:
    """Nothing that CrypTen's processes print gets between."""
    asked = ["--scheme", "shares", "--parameters", "3000", "--participants", "2", "--json"]

    done = subprocess.run(
        [sys.executable, "-m", "veilsum", "bench", "scheme", *asked],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scheme"] == "shares"
