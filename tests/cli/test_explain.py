"""`veilsum explain` knows codes, classes and exit statuses, and needs no network."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from veilsum.catalogue import ENTRIES, STATUSES
from veilsum.cli import app
from veilsum.cli.walk import commands


def explain(*words: str) -> Any:
    """Run `veilsum explain`."""
    return CliRunner().invoke(app, ["explain", *words])


@pytest.mark.parametrize("code", sorted(ENTRIES))
def test_every_code_is_explained(code: str) -> None:
    """What it means, who must act, what to do: without them it is only a word."""
    said = json.loads(explain(code, "--json").stdout)

    assert said["code"] == code
    assert all(said[key] for key in ("who_acts", "means", "fix"))
    assert isinstance(said["status"], int)


@pytest.mark.parametrize(
    "typed", ["budget_exhausted", "BudgetExhausted", "budgetexhausted", "budget-exhausted"]
)
def test_a_code_is_known_by_its_class_too(typed: str) -> None:
    """A log has the one, a traceback the other."""
    shown = explain(typed)

    assert shown.exit_code == 0
    assert shown.stdout.startswith("budget_exhausted (BudgetExhausted), exit status 4\n")


@pytest.mark.parametrize("number", [each.number for each in STATUSES])
def test_every_exit_status_is_explained(number: int) -> None:
    shown = json.loads(explain(str(number), "--json").stdout)

    assert shown["status"] == number
    assert shown["means"]


def test_a_status_says_which_commands_mean_something_else_by_it() -> None:
    """2 is a configuration error, and evidence that was tampered with."""
    verdicts = json.loads(explain("2", "--json").stdout)["verdicts"]

    told = {name: made.callback.verdicts for name, made in commands(app)}
    assert verdicts == {name: means[2] for name, means in told.items() if 2 in means}
    assert "veilsum audit verify" in verdicts


@pytest.mark.parametrize(
    ("typed", "near"),
    [("budget_exhuasted", "budget_exhausted"), ("LegderRolledBack", "LedgerRolledBack")],
)
def test_an_unknown_word_is_answered_with_the_nearest_ones(typed: str, near: str) -> None:
    """Codes are typed from a screen that somebody else reads out."""
    shown = explain(typed, "--json")

    assert near in json.loads(shown.stdout)["message"]
    assert shown.exit_code == 2


def test_a_link_becomes_the_name_of_a_page() -> None:
    """A terminal follows none."""
    assert "an invariant (docs/threat-model.md#" in " ".join(
        explain("invariant_broken").stdout.split()
    )
