"""A trainer that has other sites' ciphertexts before it sends its own, and the sum that comes.

Ciphertexts can be added and negated by anyone. Who sends minus the sum of all others but one
leaves that one alone in the sum; what was sent is a ciphertext, and the sum is the sum, so
that neither the door nor an auditor who adds again sees anything wrong. This takes the
coordinator, which alone has the ciphertexts while contributions are taken, together with any
one trainer. What stands against it are the masks: openers take off each of the cohort's once,
and any other combination keeps a uniform residue in every coefficient.

Each attack is shown to succeed first, by the same code, where all masks are zero. Left is an
opener that works with the coordinator: it has the masks, and the round's secret anyway.
"""

from collections.abc import Callable

import numpy as np
import pytest

from participant.opening.apply import Application
from participant.session import Open
from privacy.errors import SumOffGrid
from privacy.limbs import decode_chunk, encode_chunk
from privacy.schemes.ckks import make_cohort_key
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.masks import put_on
from tests.attacks.combinations import FIRST, LAYOUT, PLAN, SECOND, combined, plus
from tests.participant import auditor_at_work as work
from tests.participant import signed_round as made
from tests.participant.agent_at_work import agent, ends

THIEF, VICTIM, OTHERS = "amber", "delta", ("birch", "cedar")
MANY = 1 << 12


def values(factors: dict[str, int]) -> np.ndarray:
    """What a combination of updates is, in grid steps."""
    return sum(made.update(name) * factor for name, factor in factors.items())


def minus_all_others():
    """One update is left alone."""
    return combined(dict.fromkeys(OTHERS, -1)), made.update(VICTIM)


def many_times_one():
    """Most of the sum is one update; no ciphertext but the victim's is needed."""
    everyone = {VICTIM: MANY + 1, **dict.fromkeys(OTHERS, 1)}
    return combined({VICTIM: MANY}), values(everyone)


def a_negated_copy():
    """The others' sum, without the victim; the next honest round's difference is the victim."""
    return combined({VICTIM: -1}), values(dict.fromkeys(OTHERS, 1))


def a_copy():
    """The victim twice."""
    return combined({VICTIM: 1}), values({VICTIM: 2, **dict.fromkeys(OTHERS, 1)})


def unequal_factors():
    """A system of equations over rounds, one row of it."""
    return combined({"birch": 2, "cedar": -3, VICTIM: 5}), values(
        {"birch": 3, "cedar": -2, VICTIM: 6}
    )


def in_two_halves():
    """Minus all others, polynomial by polynomial."""
    others = dict.fromkeys(OTHERS, -1)
    return plus(combined(others, FIRST), combined(others, SECOND)), made.update(VICTIM)


def behind_its_own():
    """Minus all others, added to an honest contribution, whose mask fits."""
    sent = plus(made.payloads(THIEF, PLAN), combined(dict.fromkeys(OTHERS, -1)))
    return sent, values(dict.fromkeys((THIEF, VICTIM), 1))


def chunks_moved():
    """Minus the victim's last chunk in the first, and its first in the last."""
    moved = np.zeros((2, 4096), np.int64)
    moved[0, : made.DIMENSION - 4096], moved[1] = (
        made.update(VICTIM)[4096:],
        made.update(VICTIM)[:4096],
    )
    sent = combined({VICTIM: -1}, of_chunk=lambda chunk: 1 - chunk)
    return sent, values(dict.fromkeys((*OTHERS, VICTIM), 1)) - moved.reshape(-1)[: made.DIMENSION]


def chunks_exchanged():
    """Its own, plus the victim's two chunks one in the place of the other: equal masks cancel."""
    there = combined({VICTIM: 1}, of_chunk=lambda chunk: 1 - chunk)
    sent = plus(plus(made.payloads(THIEF, PLAN), there), combined({VICTIM: -1}))
    update, moved = made.update(VICTIM), np.zeros((2, 4096), np.int64)
    moved[0, : made.DIMENSION - 4096], moved[1] = update[4096:], update[:4096]
    total = values(dict.fromkeys((THIEF, *OTHERS), 1))
    return sent, total + moved.reshape(-1)[: made.DIMENSION]


def in_one_chunk_only():
    """Honest in the first chunk, so that a part of the sum opens."""
    whole = behind_its_own()[0]
    total = values(dict.fromkeys(made.TRAINERS, 1))
    total[4096:] -= values(dict.fromkeys(OTHERS, 1))[4096:]
    return (made.payloads(THIEF, PLAN)[0], whole[1]), total


ATTACKS = [
    minus_all_others,
    many_times_one,
    a_negated_copy,
    a_copy,
    unequal_factors,
    in_two_halves,
    behind_its_own,
    chunks_moved,
    chunks_exchanged,
    in_one_chunk_only,
]


Attack = Callable[[], tuple[tuple[bytes, ...], np.ndarray]]
"""Makes what the thief sends, and what opens where there are no masks."""


def a_round(sent: tuple[bytes, ...]) -> made.Round:
    """A round in which the thief sent this, under its own header and its own mask's seals."""

    def chunks(name):
        return sent if name == THIEF else made.payloads(name, PLAN)

    return made.Round(PLAN, made.TRAINERS, chunks)


def opened(sent: tuple[bytes, ...]) -> np.ndarray:
    """What honest openers hand on of it."""
    of = a_round(sent)
    revealer = of.revealer()
    return np.concatenate([revealer.reveal(at, chunk, 4) for at, chunk in enumerate(of.chunks)])


def next_model(total: np.ndarray) -> np.ndarray:
    """The model that openers make of a sum, and every trainer gets."""
    application = Application(PLAN, len(made.TRAINERS))
    model = application.part(made.FIRST, total)
    application.check_bound()
    return model


# -- without masks, which no round has -------------------------------------------------------


@pytest.fixture
def unmasked():
    """Every mask is zero, at sites and at openers."""
    with made.without_masks():
        yield


@pytest.mark.parametrize("attack", ATTACKS)
def test_without_masks_each_combination_opens(unmasked, attack: Attack):
    """The control: to the last integer."""
    sent, expected = attack()

    assert np.array_equal(opened(sent), expected)


def test_without_masks_every_trainer_learns_the_victims_update(unmasked):
    """The model that all get is the one the round started from, plus this update."""
    total = opened(minus_all_others()[0])

    step = 2.0**-18 * 0.5 / len(made.TRAINERS)
    assert np.array_equal(np.rint((next_model(total) - made.FIRST) / step), made.update(VICTIM))


def test_without_masks_a_large_factor_drowns_the_others(unmasked):
    """As long as the mean stays within the clip."""
    total = opened(many_times_one()[0])

    assert next_model(total).size == made.DIMENSION
    assert np.array_equal(np.rint(total / (MANY + 1)), made.update(VICTIM))


def test_without_masks_a_mean_beyond_the_clip_gives_no_model(unmasked):
    """The one other bound on it, for updates that are longer than rounding."""
    total = opened(combined({VICTIM: 1 << 14}))

    with pytest.raises(SumOffGrid, match="clipped"):
        next_model(total)


# -- with them ------------------------------------------------------------------------------


def test_an_honest_contribution_opens():
    """The control of the refusals: they are not of everything."""
    total = opened(made.payloads(THIEF, PLAN))

    assert np.array_equal(total, values(dict.fromkeys(made.TRAINERS, 1)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_combination_opens(attack: Attack):
    """What is left is uniform; the message is the same whatever was in it."""
    said = []

    for _ in range(2):
        with pytest.raises(SumOffGrid, match="cannot be told") as refused:
            opened(attack()[0])
        said.append(str(refused.value))

    assert len(set(said)) == 1


@pytest.mark.parametrize("polynomials", [FIRST, SECOND])
@pytest.mark.parametrize("factor", [-1, 1, MANY])
def test_neither_polynomial_is_of_use_alone(polynomials, factor):
    """The second has no mask, and needs the first."""
    with pytest.raises(SumOffGrid):
        opened(plus(made.payloads(THIEF, PLAN), combined({VICTIM: factor}, polynomials)))


def test_random_combinations_do_not_open():
    """Of all contributions of a round, the thief's own included, first and second apart."""
    draw = np.random.default_rng(11)
    for _ in range(20):
        factors = draw.integers(-5, 6, (2, len(made.TRAINERS)))
        factors[0, 3] = draw.choice([-3, -2, -1, 1, 2, 3])
        one, two = (dict(zip(made.TRAINERS, row.tolist(), strict=True)) for row in factors)

        with pytest.raises(SumOffGrid):
            opened(plus(combined(one, FIRST), combined(two, SECOND)))


def test_what_re_adding_sees_is_in_order():
    """The door and the auditor check form and addition; both are as they must be."""
    sent = minus_all_others()[0]
    combiner = CkksCombiner(made.PARAMETERS, made.DIMENSION)

    for at, chunk in enumerate(sent):
        assert combiner.check(at, chunk)
        everyone = [chunk, *(made.payloads(name, PLAN)[at] for name in (*OTHERS, VICTIM))]
        assert combiner.combine(at, everyone) == made.payloads(VICTIM, PLAN)[at]


async def carried_out(folder, sent):
    """A coordinator that helps the thief, an auditor that signs, and openers that are honest."""
    shown = work.Audited()
    shown.audits(a_round(sent))
    auditor, memory = work.auditor(folder / "watch", shown)
    await auditor.sign(1, memory)
    memory.close()
    told = []
    for name in made.OPENERS:
        opener = agent(folder / name, shown, name)
        try:
            await opener._carry_out(Open(1))
        except SumOffGrid as error:
            told.append(str(error))
        finally:
            ends(opener)
    return shown, told


def models_of(folder, name):
    """The models that an opener holds."""
    return {path.name for path in (folder / name / "models").iterdir()}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_with_all_that_a_coordinator_has_nothing_is_told(tmp_path, attack: Attack):
    """The auditor signs, because the sum is the sum; no opener makes a model of it.

    All that comes out is the same refusal, of each.
    """
    shown, told = await carried_out(tmp_path, attack()[0])

    assert shown.countersigned[1]
    assert len(told) == len(made.OPENERS)
    assert len(set(told)) == 1
    assert (shown.put, shown.signed_releases) == ([], [])
    for name in made.OPENERS:
        assert models_of(tmp_path, name) == {PLAN.terms.model}


async def test_without_masks_the_same_openers_make_a_model_of_it(tmp_path, unmasked):
    """The control: the victim's update, in everybody's next model."""
    shown, told = await carried_out(tmp_path, minus_all_others()[0])

    model = made.model_digest(made.SHAPES, next_model(made.update(VICTIM)))
    assert (bool(shown.countersigned[1]), told) == (True, [])
    for name in made.OPENERS:
        assert models_of(tmp_path, name) == {PLAN.terms.model, model}


# -- what is of no use, and what still is ---------------------------------------------------


def test_another_rounds_ciphertexts_are_of_no_use():
    """They were made under another key: whoever gets them after the freeze is too late."""
    late = made.protected(made.update(VICTIM), make_cohort_key(made.PARAMETERS), made.NoMask())

    with pytest.raises(SumOffGrid):
        opened(late)


def test_the_same_key_under_another_plan_has_other_masks():
    """Not even a round that is planned again lets a ciphertext be opened twice."""
    again = made.plan(auditor="watch", clip="19")

    with pytest.raises(SumOffGrid):
        opened(made.payloads(THIEF, again))


def test_who_has_the_masks_makes_a_combination_that_opens():
    """Not protected, and said so: an opener that works with the coordinator and a trainer.

    It puts the masks back that the combination lacks. The two could open the ciphertext
    itself, with the round's secret, and need no trainer for it.
    """
    sent = []
    for at, chunk in enumerate(minus_all_others()[0]):
        words = decode_chunk(LAYOUT, at, 1, chunk)
        for name in (THIEF, *OTHERS):
            put_on(made.PARAMETERS, words[:, 0, 0], made.mask(name, PLAN).words(at, 1))
        sent.append(encode_chunk(LAYOUT, at, words))

    assert np.array_equal(opened(tuple(sent)), made.update(VICTIM))
