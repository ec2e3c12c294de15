"""A site that adds T to the second polynomial of its ciphertext, and what an opener then tells.

An opening computes c0 + c1·s. Who adds T to c1 adds T·s to what is opened, slot by slot: the
product of T's slot and the secret's. Rounded and exact, it is in the sum that every trainer
learns. What stands against it is the guard: nothing opens where the real or the imaginary part
of a slot is more than 0.4 from the grid.

- T everywhere: one rounded sum holds the whole secret, and without the guard it is read off.
  With it some of 4,096 halves of slots are beyond 0.4, always, and nothing opens.
- T in k slots, and nowhere else: each half passes with probability 0.8, all with 0.64^k. What
  passes tells those k slots of the secret, each to a part in 2^17 and more.
- A smaller T is refused less often and tells less than in proportion. That leaves a T whose
  T·s is on the grid by itself: another site's ciphertext (`test_ciphertexts_of_others.py`),
  which its mask keeps shut.

A key is used for one round, so what was learned of one secret says nothing of the next.
"""

import numpy as np
import pytest

from privacy.errors import SumOffGrid
from privacy.schemes import ckks
from privacy.schemes.ckks import CkksRevealer, make_cohort_key
from tests.attacks.slots import as_secret, coefficients_of, slots_of, transformed
from tests.attacks.sums import SETS, Summed, drawn, slots_from, summed

UNSEEN, REFUSED = 2.0**-12, [2.0**-3, 1.0, 2.0**6]
"""T in grid steps: its T·s is far within the guard, or beyond it in many slots."""

PASSES = 0.8**2
"""That the real and the imaginary part of a slot are both within the guard."""


@pytest.fixture(scope="module", params=SETS, ids=str)
def honest(request):
    parameters = SETS[request.param]
    return summed(parameters, make_cohort_key(parameters), drawn(parameters, 1))


def everywhere(sum_of: Summed, steps: float) -> Summed:
    """Add a constant, whose slots are all the same."""
    constant = np.zeros(sum_of.parameters.degree)
    constant[0] = steps * sum_of.parameters.scale
    return sum_of.shifted(transformed(constant, sum_of.parameters.modulus))


def aimed(sum_of: Summed, slots: list[int] | np.ndarray, steps: float) -> Summed:
    """Add a polynomial that is zero in all slots but these."""
    wanted = np.zeros(sum_of.parameters.degree // 2, np.complex128)
    wanted[slots] = steps * sum_of.parameters.scale
    return sum_of.shifted(transformed(coefficients_of(wanted), sum_of.parameters.modulus))


def told(sum_of: Summed, honest: Summed, steps: float) -> np.ndarray:
    """T·s/T from what an opener hands on, if the attacker knows the honest sum."""
    shift = sum_of.handed_on() - honest.handed_on()
    return slots_from(sum_of.parameters, shift) / steps


def largest_aim(sum_of: Summed) -> float:
    """The largest T that stays below what the cohort can add up to, with the secret at its most."""
    parameters = sum_of.parameters
    most = float(parameters.largest_value) * 2.0 ** (
        parameters.field_bits * (parameters.values_per_half - 1)
    )
    return 2.0 ** np.floor(np.log2(4 * most / 200))


# -- added everywhere -----------------------------------------------------------------------


def test_a_tiny_constant_changes_nothing_that_is_opened(honest):
    """The bytes differ, the integers do not: rounding has taken the secret's part away."""
    tiny = everywhere(honest, UNSEEN)

    assert tiny.total != honest.total
    assert np.array_equal(tiny.handed_on(), np.sum(drawn(honest.parameters, 1), axis=0))


@pytest.mark.parametrize("steps", REFUSED)
def test_a_larger_constant_is_refused_whole(honest, steps):
    """No value comes out, and the message holds none."""
    with pytest.raises(SumOffGrid) as refused:
        everywhere(honest, steps).handed_on()

    with pytest.raises(SumOffGrid) as again:
        everywhere(honest, 2 * steps).handed_on()
    assert str(refused.value) == str(again.value)


def test_no_size_of_the_constant_opens_to_anything_else(honest):
    """From a thousandth of a step to the whole scale: the honest sum, or nothing."""
    outcomes = []
    for power in range(-12, 8):
        try:
            opened = everywhere(honest, 2.0**power).handed_on()
        except SumOffGrid:
            outcomes.append("refused")
        else:
            assert np.array_equal(opened, honest.handed_on())
            outcomes.append("unchanged")

    turn = outcomes.index("refused")
    assert turn > 0
    assert set(outcomes[turn:]) == {"refused"}


@pytest.mark.parametrize("steps", [UNSEEN, *REFUSED])
def test_what_decryption_without_rounding_would_tell(honest, steps):
    """The control: the difference of two unrounded openings is T·s, in every slot.

    At the T that nobody notices as well: it is rounding that hides it, not its size.
    """
    shift = everywhere(honest, steps).floats() - honest.floats()

    expected = slots_of(honest.secret) * steps
    assert np.abs(expected).max() > 0
    assert np.allclose(shift, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("steps", [2.0**-2, 2.0**6])
def test_without_the_guard_one_rounded_sum_gives_the_whole_secret(honest, steps, monkeypatch):
    """The control of the guard: every coefficient, and with them another site's update."""
    monkeypatch.setattr(ckks, "GUARD", np.inf)

    found = np.rint(coefficients_of(told(everywhere(honest, steps), honest, steps)))

    assert np.mean(found == honest.secret) >= 0.99
    # The few that are wrong are one step away, and the public key says when all are right.
    assert np.array_equal(found, honest.secret)
    secret = as_secret(honest.parameters, found.astype(np.int64))
    thief = CkksRevealer(honest.parameters, honest.size, secret, [honest.masks[2]])
    assert np.array_equal(thief.reveal(0, honest.payloads[2], 1), drawn(honest.parameters, 1)[2])


# -- aimed at some slots --------------------------------------------------------------------


def test_aimed_at_one_slot_it_passes_in_two_of_three_tries_and_tells_that_slot(honest):
    """To a part in T of a step, and no other value of the sum is moved."""
    steps, slots = largest_aim(honest), range(0, 2048, 32)
    assert steps >= 2.0**17
    secret, passed = slots_of(honest.secret), 0

    for slot in slots:
        try:
            learned = told(aimed(honest, [slot], steps), honest, steps)
        except SumOffGrid:
            continue
        passed += 1
        assert abs(learned[slot] - secret[slot]) < 0.6 / steps
        assert np.count_nonzero(learned) == 1

    assert passed / len(slots) == near(PASSES, len(slots))


@pytest.mark.parametrize("count", [2, 4, 8])
def test_aimed_at_more_slots_it_passes_less_often(honest, count):
    """0.64 to the number of slots, and where it passes they are all told."""
    steps, tries, passed = 2.0**12, 60, 0
    secret, draw = slots_of(honest.secret), np.random.default_rng(count)

    for _ in range(tries):
        slots = draw.choice(2048, count, replace=False)
        try:
            learned = told(aimed(honest, slots, steps), honest, steps)
        except SumOffGrid:
            continue
        passed += 1
        assert np.abs(learned[slots] - secret[slots]).max() < 0.6 / steps

    assert passed / tries == near(PASSES**count, tries)


def near(share: float, tries: int) -> object:
    """A measured share within seven deviations."""
    return pytest.approx(share, abs=7 * np.sqrt(share * (1 - share) / tries))


def test_no_smaller_t_is_a_better_bargain(honest):
    """Bits that a half of a slot tells, for each halving of the chance to pass, rise with T.

    The secret's halves are as good as normal, with variance N/3. A T that is nearly never
    refused tells nearly nothing; from a step on each is refused in one of five.
    """
    bargains = []
    for power in range(-8, 19, 2):
        risked, bits = of_a_normal(2.0**power * np.sqrt(honest.parameters.degree / 3))
        bargains.append(bits / -np.log2(1 - risked))

        seen = slots_of(honest.secret) * 2.0**power
        halves = np.concatenate([seen.real, seen.imag])
        assert np.mean(np.abs(halves - np.rint(halves)) > 0.4) == near(risked, halves.size)

    assert bargains == sorted(bargains)
    assert bargains[0] < 0.1
    assert bargains[-1] < 85


def of_a_normal(deviation: float) -> tuple[float, float]:
    """P(beyond the guard), and the bits of the nearest integer of those within."""
    if deviation > 50:  # uniform between two integers, by then
        return 0.2, float(np.log2(deviation * np.sqrt(2 * np.pi * np.e)))
    values = np.linspace(-12 * deviation - 1, 12 * deviation + 1, 400_001)
    weights = np.exp(-(values**2) / (2 * deviation**2))
    weights /= weights.sum()
    nearest = np.rint(values)
    within = np.abs(values - nearest) <= 0.4
    share = np.bincount((nearest - nearest.min()).astype(int)[within], weights[within])
    share = share[share > 0] / share.sum()
    return float(weights[~within].sum()), float(-(share * np.log2(share)).sum())


def test_ten_slots_tell_no_coefficient(honest):
    """Twenty numbers about 4,096 unknowns: the nearest secret that has them is guessing."""
    known = np.zeros(2048, np.complex128)
    known[:10] = slots_of(honest.secret)[:10]

    found = np.rint(coefficients_of(known))

    assert np.mean(found == honest.secret) < 1 / 3 + 0.06
