"""Answers on shares are those of the plain numbers, at all three seats, and no others."""

import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from privacy.errors import InternalError, MalformedMessage, SeatsDisagree, UnsafeParameters
from privacy.mpc.answering import VALUES_TOGETHER
from privacy.mpc.compare import Rounded, Within, rounded, within
from privacy.mpc.greeting import greet
from privacy.mpc.messages import LARGEST_MESSAGE
from privacy.mpc.triples import words_of
from privacy.schemes.shares.norm_bound import NormBound
from privacy.signing import transcript
from tests.privacy.mpc.trio import at_once, shared, three_seats
from tests.source_tree import ROOT

BOUND = NormBound(1000)
T = BOUND.largest_projection
LARGEST = np.array([2 * T] * 64 + [BOUND.norm**2], np.uint64)


def ask_within(seat, shares, largest):
    return within(seat, b"norms", shares, largest)


def ask_rounded(seat, shares, step_bits):
    return rounded(seat, b"scores", shares, step_bits)


def the_same(reports):
    """What all three seats say."""
    first, second, third = (report.result for report in reports)
    assert np.array_equal(first, second)
    assert np.array_equal(first, third)
    return first


EDGES = [0, 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1, 2**32, 2**32 - 1, 2**62, 2**63 + 2**32]


def around(largest):
    return [*EDGES, largest - 1, largest, largest + 1, 2**63 + largest, 2**64 - largest]


@pytest.mark.parametrize("largest", [1, 2, 9, 2**32 - 1, 2**32, 2**48, 2**63 - 2, 2**63 - 1])
def test_one_value_is_within_if_it_is(trio, largest):
    """At every edge of the range, of the sign and of half a word."""
    values = [value % 2**64 for value in around(largest)]
    bounds = np.array([largest], np.uint64)

    answers = the_same(trio.shares(ask_within, np.array(values, np.uint64)[:, None], bounds))

    assert answers.dtype == np.bool_
    assert answers.tolist() == [value <= largest for value in values]


def test_a_bound_of_zero_lets_zero_pass(trio):
    """And nothing else."""
    values = np.array(EDGES, np.uint64)[:, None]

    answers = the_same(trio.shares(ask_within, values, np.zeros(1, np.uint64)))

    assert answers.tolist() == [value == 0 for value in EDGES]


def accepted(values):
    """What the norm bound itself says of projections moved up by T, and of the squared norm."""
    return [BOUND.accepts(int(row[64]), row[:64] - np.uint64(T)) for row in values]


def test_norm_bounds_on_shares_are_the_norm_bounds(trio):
    """Random sites: some within, some with one value beyond, some wild."""
    draw = np.random.default_rng(5)
    values = draw.integers(0, LARGEST + np.uint64(1), (60, 65), np.uint64, endpoint=False)
    rows, places = np.arange(20, 40), draw.integers(0, 65, 20)
    values[rows, places] = LARGEST[places] + draw.integers(1, 2**40, 20, np.uint64)
    values[40:] = draw.integers(0, 2**64 - 1, (20, 65), np.uint64, endpoint=True)

    answers = the_same(trio.shares(ask_within, values, LARGEST))

    assert answers.tolist() == accepted(values)
    assert answers.tolist() == [True] * 20 + [False] * 40


def test_each_place_counts_at_its_edges(trio):
    """A site is refused for one value of 65, wherever it is."""
    values = np.tile(LARGEST, (130, 1))
    values[np.arange(65), np.arange(65)] += np.uint64(1)
    values[65:] = 0
    values[65 + np.arange(65), np.arange(65)] = np.uint64(2**64 - 1)
    values = np.concatenate([values, LARGEST[None], np.zeros((1, 65), np.uint64)])

    answers = the_same(trio.shares(ask_within, values, LARGEST))

    assert answers.tolist() == accepted(values)
    assert answers.tolist() == [False] * 130 + [True, True]


@pytest.mark.parametrize("projection", [2**32, 2**63, 2**63 - 1, 2**64 - 2**32])
def test_a_norm_that_wraps_is_refused(trio, projection):
    """A coordinate of 2^32 has a squared norm of zero; its projections tell."""
    values = np.full((1, 65), T, np.uint64)
    values[0, 64] = 0
    values[0, 3] += np.uint64(projection)

    answers = the_same(trio.shares(ask_within, values, LARGEST))

    assert answers.tolist() == accepted(values) == [False]


def test_more_sites_than_fit_in_a_batch(trio):
    """Every site has its own answer, in its order."""
    sites = VALUES_TOGETHER // 2 + 3
    values = np.arange(sites, dtype=np.uint64)[:, None]

    answers = the_same(trio.shares(ask_within, values, np.array([sites - 3], np.uint64)))

    assert np.flatnonzero(~answers).tolist() == [sites - 2, sites - 1]


def test_no_sites_have_no_answers(trio):
    """A round whose updates were all refused before."""
    answers = the_same(trio.shares(ask_within, np.zeros((0, 65), np.uint64), LARGEST))

    assert answers.shape == (0,)


@pytest.mark.parametrize("step_bits", [1, 2, 20, 31, 32, 33, 61, 62])
def test_values_are_rounded_to_the_nearest_step(trio, step_bits):
    """Halves go up, also below zero."""
    half = 2 ** (step_bits - 1)
    near = [0, 1, -1, half, half - 1, -half, -half - 1, 3 * half, 3 * half - 1, -3 * half]
    draw = np.random.default_rng(step_bits).integers(-(2**62), 2**62, 50).tolist()
    values = [v for v in near + draw + [-(2**63), 2**63 - half - 1] if v + half < 2**63]

    answers = the_same(
        trio.shares(ask_rounded, np.array([v % 2**64 for v in values], np.uint64), step_bits)
    )

    assert answers.dtype == np.int64
    assert answers.tolist() == [(v + half) >> step_bits for v in values]


def test_many_values_are_rounded_in_batches(trio):
    """More than one message of triples."""
    values = np.arange(VALUES_TOGETHER + 5, dtype=np.uint64) * np.uint64(4)

    answers = the_same(trio.shares(ask_rounded, values, 2))

    assert answers.tolist() == list(range(VALUES_TOGETHER + 5))


@pytest.mark.parametrize("step_bits", [-1, 0, 63, 64])
def test_a_rounding_that_opens_all_or_nothing_is_refused(step_bits):
    """Without low bits to leave out, it is no rounding."""
    with pytest.raises(UnsafeParameters):
        Rounded(3, step_bits)


@pytest.mark.parametrize("bound", [2**63, 2**64 - 1])
def test_a_bound_that_is_no_number_is_refused(bound):
    """As a signed number it is negative."""
    with pytest.raises(UnsafeParameters):
        Within(3, np.array([bound], np.uint64))


@pytest.mark.parametrize("count", [0, VALUES_TOGETHER // 2 + 1])
def test_a_site_has_as_many_values_as_fit(count):
    """One row of a batch at least."""
    with pytest.raises(UnsafeParameters):
        Within(3, np.zeros(count, np.uint64))


@pytest.mark.parametrize("values", [1, 2, 3, 65, 100, 1000, VALUES_TOGETHER // 2])
def test_the_triples_of_a_batch_fit_in_a_message(values):
    """Whatever the number of values of a site."""
    circuit = Within(10**6, np.zeros(values, np.uint64))

    rows = VALUES_TOGETHER // circuit.values_per_row

    assert words_of(circuit.triples(rows)) <= LARGEST_MESSAGE


def test_shares_of_another_shape_are_refused_before_anything_is_sent():
    """By the seat whose they are."""
    with pytest.raises(InternalError):
        within(None, b"q", np.zeros((2, 3), np.uint64), np.zeros(2, np.uint64))
    with pytest.raises(InternalError):
        within(None, b"q", np.zeros((2, 2), np.int64), np.zeros(2, np.uint64))


class Refusal(Exception):
    """Shares may not leave."""


@pytest.mark.parametrize("number", range(3))
def test_before_a_share_leaves_the_seat_is_asked_whether_it_may(number):
    """Greetings have gone out by then, when all three are ready; nothing else has."""

    def refuse():
        raise Refusal

    seats, sent = three_seats(), []
    asked = transcript("veilsum/mpc-asked/1", b"norms", Within(1, LARGEST[:1]).name)
    others = [partial(greet, seat, asked) for seat in seats if seat.number != number]
    mine = replace(seats[number], before_shares=refuse)
    sending = mine.link.send
    mine.link.send = lambda to, body: (sent.append(to), sending(to, body))

    found, *_ = at_once(lambda: within(mine, b"norms", shared([[1]])[0], LARGEST[:1]), *others)

    assert isinstance(found, Refusal)
    assert sorted(sent) == sorted({0, 1, 2} - {number})


def test_loading_the_questions_loads_neither_crypten_nor_pytorch():
    """A seat that answers none needs neither."""
    program = (
        "import sys, privacy.mpc.compare, privacy.mpc.session;"
        "assert not {'torch', 'crypten'} & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)

    assert done.returncode == 0


def _loaded(seat, shares, largest):
    within(seat, b"q", shares, largest)
    return "torch" in sys.modules


def test_the_dealer_needs_no_pytorch(trio):
    """It makes words and reads an answer."""
    reports = trio.shares(_loaded, np.zeros((1, 1), np.uint64), np.ones(1, np.uint64))

    assert [report.result for report in reports] == [True, True, False]


def _planning_too_much(seat, shares, largest):
    """All three plan a triple that nothing needs."""
    plan = Within.triples
    Within.triples = lambda self, rows: [*plan(self, rows), (1, 1)]
    try:
        return within(seat, b"q", shares, largest)
    except InternalError as error:
        seat.link.send(2, b"so that the dealer waits no longer")
        return str(error)
    except MalformedMessage:
        return "no answer"
    finally:
        Within.triples = plan


def test_a_circuit_that_leaves_triples_over_gives_no_answer(trio):
    """It was not the one that was planned, at either of the two seats."""
    values, bounds = np.zeros((1, 1), np.uint64), np.ones(1, np.uint64)

    reports = trio.shares(_planning_too_much, values, bounds)

    trio.drain()
    left_over = "1 triples were dealt and not drawn"
    assert [report.result for report in reports] == [left_over, left_over, "no answer"]


def _told_wrong(seat, shares, largest):
    """Seat 1 tells the dealer another answer."""
    if seat.number == 1:
        send = seat.link.send

        def lying(to_seat, body):
            wrong = to_seat == 2 and len(seat.link.sent) > 2
            send(to_seat, body[:-8] + bytes([body[-8] ^ 1]) + body[-7:] if wrong else body)

        seat.link.send = lying
    try:
        return within(seat, b"q", shares, largest)
    except SeatsDisagree:
        return "they disagree"
    finally:
        vars(seat.link).pop("send", None)


def test_the_dealer_hears_when_two_seats_say_different_things(trio):
    """One of them is wrong; no answer is taken."""
    reports = trio.shares(_told_wrong, np.zeros((1, 1), np.uint64), np.ones(1, np.uint64))

    assert reports[2].result == "they disagree"


def _refused(seat, shares, largest):
    try:
        return within(seat, b"q", shares, largest)
    except MalformedMessage:
        return "refused"


def test_seats_with_different_bounds_give_no_answer(trio):
    """What is public is part of the question."""
    shares = shared(np.zeros((1, 1), np.uint64))
    bounds = [np.array([bound], np.uint64) for bound in (1, 1, 2)]

    reports = trio.ask(_refused, list(zip(shares, bounds, strict=True)))

    trio.drain()
    assert [report.result for report in reports] == ["refused"] * 3


def test_the_same_question_twice_has_the_same_answer_and_other_messages(trio):
    """Nothing that hides is used again, although secrets and question are the same."""
    values, bounds = np.array([[7]], np.uint64), np.array([9], np.uint64)
    shares = shared(values)
    arguments = [(shares[seat], bounds) for seat in range(3)]

    first, second = (trio.ask(ask_within, arguments) for _ in range(2))

    assert the_same(first).tolist() == the_same(second).tolist() == [True]
    for one, other in zip(first, second, strict=True):
        # All but the answer itself, and its opening, which is one bit.
        for (_, body), (_, again) in zip(one.sent[:-2], other.sent[:-2], strict=True):
            assert body[-8:] != again[-8:]
