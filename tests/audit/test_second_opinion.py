"""Other accountants are asked, and where they do not agree nothing is reported."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from privacy.errors import AccountingMismatch, UnsafeParameters
from privacy.events import Composed, Gaussian, PoissonSampled, SelfComposed
from veilsum.audit import second_opinion
from veilsum.audit.second_opinion import (
    Opinions,
    agree,
    check,
    gaussian_delta,
    gaussian_epsilon,
    gaussian_mu,
    kinds_of,
    opinions,
    opinions_of_all,
)

VECTORS = json.loads(Path("tests/vectors/dp_golden.json").read_text())["vectors"]
SOUND = Opinions(
    delta=1e-5,
    own_rdp=1.2,
    own_rdp_whole=1.2,
    google_rdp=1.2,
    google_rdp_default=1.2,
    google_pld=1.0,
)


def event(vector):
    return SelfComposed(
        vector["count"], PoissonSampled(vector["q"], Gaussian(vector["noise_multiplier"]))
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: each["name"])
def test_every_accountant_says_what_was_published_for_it(vector):
    """The vectors were made with each library by itself, at its own orders or grid."""
    said = opinions(event(vector), float(vector["delta"]))

    check(said)
    assert said.google_pld == pytest.approx(vector["pld"], rel=1e-3)
    assert said.google_rdp_default == pytest.approx(vector["rdp"], rel=1e-3)
    assert said.own_rdp == pytest.approx(vector["rdp"], rel=1e-3)
    assert said.opacus_rdp == pytest.approx(vector["opacus_rdp"], rel=1e-3)
    assert said.opacus_prv_upper == pytest.approx(vector["opacus_prv"], rel=1e-3)


def test_sums_over_all_records_have_an_exact_epsilon():
    """Twenty full sums at 14.25: mu = sqrt(20) / 14.25, and the exact curve gives 0.9998."""
    said = opinions(SelfComposed(20, Gaussian("14.25")), 1e-4)

    assert said.mu == pytest.approx(math.sqrt(20) / 14.25)
    assert said.closed_form == pytest.approx(0.9998, abs=1e-4)
    assert said.google_pld == pytest.approx(said.closed_form, rel=1e-3)


def test_a_sampled_sum_has_no_exact_epsilon():
    said = opinions(PoissonSampled("0.5", Gaussian("3")), 1e-4)

    assert said.closed_form is None
    assert said.mu is None


@settings(max_examples=12, deadline=None)
@given(
    q=st.sampled_from(("1", "0.5", "0.1", "0.02")),
    tenths=st.integers(10, 200),
    count=st.integers(1, 200),
)
def test_ours_is_never_below_the_tighter_accountant(q, tenths, count):
    """An epsilon below the true one would be a promise that is not kept."""
    sigma = f"{tenths / 10:g}"
    if q == "1":
        count = min(count, tenths)
    said = opinions(SelfComposed(count, PoissonSampled(q, Gaussian(sigma))), 1e-5)

    check(said)
    assert said.own_rdp >= said.google_pld


def test_equal_sums_are_counted_and_composed_at_once():
    """A ledger of thousands of rounds has a handful of kinds."""
    round_ = SelfComposed(5, PoissonSampled("0.1", Gaussian("2")))
    nested = Composed((round_, Gaussian("7"), PoissonSampled("1", Gaussian("7"))))

    kinds = kinds_of([round_] * 1000 + [nested])

    assert kinds == {("0.1", "2"): 5005, ("1", "7"): 2}


def test_many_rows_are_one_composition():
    rows = [SelfComposed(2, Gaussian("10"))] * 10

    together = opinions_of_all(rows, 1e-4)

    assert together == opinions(SelfComposed(20, Gaussian("10")), 1e-4)


def test_nothing_spent_is_no_question():
    """Some accountants raise about nothing, others say 0."""
    said = opinions_of_all([], 1e-5)

    check(said)
    assert said.own_rdp == said.google_pld == 0.0


def test_an_event_that_no_second_accountant_knows_is_refused():
    twice_sampled = PoissonSampled("0.5", PoissonSampled("0.5", Gaussian("2")))

    with pytest.raises(AccountingMismatch, match="no second accountant"):
        opinions(twice_sampled, 1e-5)


def test_an_epsilon_that_says_nothing_is_refused_and_not_computed():
    """Its distribution of the loss would take all memory there is."""
    with pytest.raises(AccountingMismatch, match="up to 100"):
        opinions(SelfComposed(10_000, Gaussian("0.5")), 1e-5)


def test_a_delta_that_is_no_probability_is_refused():
    with pytest.raises(UnsafeParameters):
        opinions(Gaussian("2"), 0.0)


@pytest.mark.parametrize("name", ["_google_rdp", "_google_pld", "_opacus_rdp", "_opacus_prv"])
@pytest.mark.parametrize("answer", [math.nan, math.inf, -0.01], ids=str)
def test_an_answer_that_is_no_epsilon_is_refused(monkeypatch, name, answer):
    """Opacus' PRV can be negative; a NaN passes any comparison written the wrong way round."""
    monkeypatch.setattr(second_opinion, name, lambda *_: answer)

    with pytest.raises(AccountingMismatch, match="not an epsilon"):
        opinions(Gaussian("5"), 1e-5)


@pytest.mark.parametrize("name", ["_google_rdp", "_google_pld", "_opacus_prv"])
def test_an_accountant_that_fails_has_not_said_zero(monkeypatch, name):
    def fails(*_):
        raise ValueError("at the edge of its grid")

    monkeypatch.setattr(second_opinion, name, fails)

    with pytest.raises(AccountingMismatch, match="no answer: ValueError"):
        agree([Gaussian("5")], 1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"own_rdp_whole": 1.19}, "at the same orders"),
        ({"google_rdp": 1.19}, "at the same orders"),
        ({"google_pld": 1.3}, "tighter bound"),
        ({"closed_form": 1.21}, "exact"),
        ({"google_pld": math.nan}, "not an epsilon"),
        ({"own_rdp": math.nan}, "not an epsilon"),
    ],
)
def test_accountants_that_disagree_are_refused_with_both_numbers(changes, words):
    check(SOUND)

    with pytest.raises(AccountingMismatch, match=words):
        check(replace(SOUND, **changes))


def test_half_the_noise_claimed_is_a_mismatch(monkeypatch):
    """What our accountant would say if it read the noise twice as large."""
    true = second_opinion.spend_of
    halved = {"5": "10"}

    def lenient(asked):
        sigma = asked.event.event.noise_multiplier
        sum_ = PoissonSampled("1", Gaussian(halved.get(sigma, sigma)))
        return true(SelfComposed(asked.count, sum_))

    monkeypatch.setattr(second_opinion, "spend_of", lenient)

    with pytest.raises(AccountingMismatch):
        agree([Gaussian("5")], 1e-5)


@pytest.mark.parametrize("mu", [0.05, 0.5, 3.0])
def test_mu_and_epsilon_are_each_others_inverse(mu):
    epsilon = gaussian_epsilon(mu, 1e-6)

    assert gaussian_delta(mu, epsilon) == pytest.approx(1e-6, rel=1e-6)
    assert gaussian_mu(epsilon, 1e-6) == pytest.approx(mu, rel=1e-6)
