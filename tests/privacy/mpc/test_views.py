"""What a seat sees is uniform, whatever the values are; of them only the answer opens.

Shares are chosen to show any weakness: one seat has the values themselves and the others have
zeros, and most values are the same.
"""

import struct

import numpy as np
import pytest

from privacy.mpc.compare import rounded, within
from privacy.mpc.randomness import Draws

SITES, COUNT = 40, 65
BOUNDS = np.full(COUNT, 2**40, np.uint64)
TABLES = {
    "zeros": np.zeros((SITES, COUNT), np.uint64),
    "the largest": np.tile(BOUNDS, (SITES, 1)),
    "too large": np.tile(BOUNDS + np.uint64(1), (SITES, 1)),
}
NAMES = list(TABLES)
STEP_BITS = 24

UNLIKELY = 420
"""Chi-square with 255 degrees of freedom; above it by chance in one of 10^9 tables."""


def words_in(body):
    axes = body[45]
    shape = struct.unpack(f">{axes}I", body[46 : 46 + 4 * axes])
    return np.frombuffer(body, "<u8", offset=46 + 4 * axes).reshape(shape)


def surprise(words):
    """The largest chi-square of the eight bytes of words."""
    counts = [np.bincount(each, minlength=256) for each in words.view(np.uint8).reshape(-1, 8).T]
    expected = words.size / 256
    return max(float(((count - expected) ** 2 / expected).sum()) for count in counts)


def view(report):
    """All words that a seat got before the answer was opened, a message an entry."""
    return [words_in(body) for _, body in report.received if len(body) > 2048]


def ask_within(seat, shares):
    return within(seat, b"norms", shares, BOUNDS)


def ask_within_without_masks(seat, shares):
    """The control: every stream gives zeros."""
    take = Draws.take
    Draws.take = lambda self, shape: np.zeros(shape, np.uint64)
    try:
        return within(seat, b"norms", shares, BOUNDS)
    finally:
        Draws.take = take


def ask_rounded(seat, shares):
    return rounded(seat, b"scores", shares, STEP_BITS)


def held_by_one(values, holder):
    """Shares of which one is the values."""
    return [(values if seat == holder else np.zeros_like(values),) for seat in range(3)]


@pytest.fixture(scope="module", params=[(name, holder) for name in NAMES for holder in (0, 2)])
def reports(trio, request):
    name, holder = request.param
    return trio.ask(ask_within, held_by_one(TABLES[name], holder))


@pytest.mark.parametrize("seat", [0, 1])
def test_every_word_that_a_seat_sees_is_uniform(reports, seat):
    """Of each message, and of all together."""
    messages = view(reports[seat])

    assert len(messages) > 10
    assert surprise(np.concatenate([each.reshape(-1) for each in messages])) < UNLIKELY
    assert all(surprise(each.reshape(-1)) < UNLIKELY for each in messages)


@pytest.mark.parametrize("seat", [0, 1])
def test_without_masks_it_is_not(trio, seat):
    """The control: the same statistic, with zeros for every mask."""
    open_reports = trio.ask(ask_within_without_masks, held_by_one(TABLES["the largest"], 2))

    words = np.concatenate([each.reshape(-1) for each in view(open_reports[seat])])

    assert open_reports[0].result.all(), "masks do not change the answer"
    assert surprise(words) > 100 * UNLIKELY


def test_the_dealer_sees_the_answer_and_nothing_else(reports):
    """Two nonces, and the same bits from either seat."""
    messages = [words_in(body) for _, body in reports[2].received]

    assert [each.shape for each in messages] == [(4,), (4,), (SITES,), (SITES,)]
    for told in messages[2:]:
        assert np.array_equal(told, reports[2].result)


@pytest.mark.parametrize("seat", [0, 1])
def test_one_bit_a_site_is_opened(reports, seat):
    """The last message between the two: a bit that with one's own bit gives the answer."""
    last = words_in(reports[seat].received[-1][1])
    own = words_in(reports[seat].sent[-2][1])

    assert last.shape == (SITES,)
    assert set(last) <= {0, 1}
    assert np.array_equal(last ^ own, reports[seat].result)
    assert len(set(reports[seat].result)) == 1


def test_a_bit_that_is_opened_is_a_coin_until_then(trio):
    """Seat 1's share of the same answer is now one, now the other."""
    asked = [trio.ask(ask_within, held_by_one(TABLES["zeros"], 1)) for _ in range(4)]

    shares = np.concatenate([words_in(each[0].received[-1][1]) for each in asked])

    assert 40 < shares.sum() < 120  # of 160; less likely than 1 in 10^9


def test_of_a_rounded_value_its_steps_are_opened_and_no_lower_bit(trio):
    """What the two show each other has been shifted: no seat has the low bits to read."""
    values = np.random.default_rng(3).integers(-(2**50), 2**50, 3000).view(np.uint64)

    answers = trio.ask(ask_rounded, held_by_one(values, 0))

    for seat in range(2):
        last = words_in(answers[seat].received[-1][1])
        own = words_in(answers[seat].sent[-2][1])
        assert np.array_equal((last ^ own).view(np.int64), answers[2].result)
        for opened in (last, own):
            copies = opened.view(np.int64) >> np.int64(63 - STEP_BITS)
            assert set(copies.tolist()) == {0, -1}


def test_before_it_is_opened_a_rounded_value_is_uniform_too(trio):
    """All messages but the last, of values that are the same."""
    values = np.full(3000, 12345, np.uint64)

    answers = trio.ask(ask_rounded, held_by_one(values, 2))

    for seat in range(2):
        messages = view(answers[seat])[:-1]
        assert all(surprise(each.reshape(-1)) < UNLIKELY for each in messages)
