"""What a dishonest site can buy of a round's pay, and what it cannot; `-s` prints the figures.

Six sites of 71 patients each without a wrong label: a fair part is 16.7 %. Sketches are of the
demo's network, 16,353 values in 163 rows.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from math import isqrt

import numpy as np
import pytest

from privacy.contribution import Method
from privacy.errors import FalseSketch
from privacy.records import Score
from privacy.sketches import (
    Sketch,
    Sketcher,
    check_norms,
    check_sum,
    cosines,
    largest_norm,
    measured,
    rows_of,
    sketch_of,
)
from tests.scored_rounds import (
    GRID,
    LOGISTIC,
    NETWORK,
    Floats,
    Learning,
    Play,
    Updates,
    exact_scores,
    paid,
    private,
    rounds,
    sites,
    trained,
    trusting,
)

CLEAN = (0.0,) * 6
FAIR = 1 / 6
SEEDS = 10
LAST = 5
"""The site that cheats."""
UNBOUNDED = 1 << 60
BEFORE, AFTER = bytes(32), bytes(range(32))
"""A seed that was known before updates were fixed, and one that is drawn after the freeze."""


def part(method: Method, play: Play, how: Learning = LOGISTIC) -> float:
    """The last site's mean part of all that is paid."""
    found = []
    for seed in range(SEEDS):
        some = sites(seed, CLEAN)
        got = paid(rounds(some, how, trusting(some, how), play), list(some), method, exact_scores)
        found.append(got[LAST] / got.sum())
    return float(np.mean(found))


def riding(length: float | None = None) -> Play:
    """The last site trains nothing, and sends the last mean step, of a length of its choice."""

    def play(updates: Updates, before: Updates) -> Updates:
        return sent_by_last(updates, longer(before, length) if length else before)

    return play


def longer(vector: Updates, length: float) -> Updates:
    """The same direction at another length, in the model's units."""
    norm = float(np.linalg.norm(vector)) or 1.0
    return np.rint(vector * (length * 2**GRID.fraction_bits / norm)).astype(np.int64)


def sent_by_last(updates: Updates, vector: Updates) -> Updates:
    """The updates with the last site's replaced."""
    return np.vstack([updates[:LAST], vector])


def test_a_free_rider_that_returns_the_last_step_earns_what_training_earns() -> None:
    """Models go the same way for some rounds; its step has less chance in it than anyone's.

    It gets nothing in the first round only. By participation it earns a fair part for nothing
    too: scores do not tell work from its echo.
    """
    gains = {method: part(method, riding()) for method in (Method.ALIGNMENT, Method.COSINE)}

    print({str(method): f"{gain:.1%}" for method, gain in gains.items()})
    assert FAIR < gains[Method.ALIGNMENT] < 1.25 * FAIR
    assert 0.75 * FAIR < gains[Method.COSINE] < FAIR
    assert part(Method.PARTICIPATION, riding()) == pytest.approx(FAIR)


def test_alignment_pays_for_length_up_to_the_clip_and_for_no_more() -> None:
    """The clip here is twice as long as an honest first update, and ever more later on.

    Where every honest update reaches the clip, nobody is longer than the others.
    """

    def stretching(updates: Updates, _: Updates) -> Updates:
        return sent_by_last(updates, longer(updates[LAST], LOGISTIC.bound))

    stretched = {each: part(each, stretching) for each in (Method.ALIGNMENT, Method.COSINE)}
    riding_far = part(Method.ALIGNMENT, riding(LOGISTIC.bound))
    tight = replace(LOGISTIC, bound=0.2)
    at_the_clip = part(Method.ALIGNMENT, riding(tight.bound), tight)

    print(
        f"own update at the clip: {stretched[Method.ALIGNMENT]:.1%} by alignment, "
        f"{stretched[Method.COSINE]:.1%} by cosine; last step at the clip: {riding_far:.1%}; "
        f"the same where all are clipped: {at_the_clip:.1%}"
    )
    assert 3 * FAIR < stretched[Method.ALIGNMENT] < 0.7
    assert 2 * FAIR < riding_far < stretched[Method.ALIGNMENT]
    assert stretched[Method.COSINE] < 1.3 * FAIR
    assert at_the_clip < 1.1 * FAIR


def copied(train: Callable[[Learning], Updates]) -> tuple[float, float]:
    """The cosine of sketches of who holds the same data, and the largest of all other pairs."""
    found = cosines([sketch_of(AFTER, each) for each in train(NETWORK)])
    others = found[~np.eye(len(found), dtype=bool) & ~pair_of(len(found))]
    return float(found[0, LAST]), float(others.max())


def pair_of(count: int) -> Floats:
    """True where the first site meets the last."""
    where = np.zeros((count, count), bool)
    where[0, LAST] = where[LAST, 0] = True
    return where


def test_a_copy_of_anothers_data_shows_without_noise_and_does_not_with_it() -> None:
    """Each noise is its own, and so much longer than an update that no two look alike."""
    some = sites(0, CLEAN)
    some["site-5"] = some["site-0"]
    start = NETWORK.start()

    plain = copied(lambda how: trained(some, start, how))
    noisy = copied(lambda how: private(some, how, 3.0, 1)(start, 0))

    print(f"without noise {plain[0]:.4f}, others at most {plain[1]:.4f}; at epsilon 3 {noisy}")
    assert plain[0] == pytest.approx(1.0)
    assert plain[1] < 0.995
    assert max(map(abs, noisy)) < 0.5
    assert noisy[0] < noisy[1]


@cache
def network_round() -> Updates:
    """One round of the network, without noise."""
    return trained(sites(0, CLEAN), NETWORK.start(), NETWORK)


@cache
def honest_sketches() -> tuple[tuple[Sketch, ...], Sketch]:
    """Those of that round under the seed after its freeze."""
    stated, total = sketched(network_round(), AFTER)
    return tuple(stated), total


def sketched(updates: Updates, seed: bytes) -> tuple[list[Sketch], Sketch]:
    """The honest sketches of updates, and that of their sum."""
    return [sketch_of(seed, each) for each in updates], sketch_of(seed, updates.sum(0))


def bound() -> int:
    """The longest honest update, in grid steps."""
    updates = network_round()
    return largest_norm(Fraction(NETWORK.bound), GRID.fraction_bits, updates.shape[1])


def alignments(stated: list[Sketch], total: Sketch, norm_bound: int | None = None) -> list[int]:
    """Alignments by name of the site, as they are opened."""
    named = {f"site-{at}": sketch for at, sketch in enumerate(stated)}
    scores = measured(named, total, step_log2=0, norm_bound=norm_bound or UNBOUNDED)
    return [int(score.alignment) for score in scores]


def along_rows(update: Updates, seed: bytes) -> Updates:
    """An update of the same length that has nothing but what the rows of a seed see of it."""
    signs = signs_of(seed, update.size)
    seen = signs @ (update @ signs)
    return longer(seen, float(np.linalg.norm(update)) / 2**GRID.fraction_bits)


def signs_of(seed: bytes, dimension: int) -> Floats:
    """The matrix of signs, shape (d, k)."""
    sketcher = Sketcher(seed, dimension)
    groups = -(-dimension // 512)
    return np.concatenate([sketcher._signs(each, 512) for each in range(groups)])[:dimension]


def gain(seed_of_the_round: bytes) -> float:
    """How much of an honest site's score one gets that expected the seed `BEFORE`."""
    updates = network_round()
    honestly = alignments(*sketched(updates, seed_of_the_round))[LAST]
    bought = sent_by_last(updates, along_rows(updates[LAST], BEFORE))
    return alignments(*sketched(bought, seed_of_the_round))[LAST] / honestly


def test_who_knows_the_seed_buys_the_root_of_d_over_k() -> None:
    """The control: 10.0 of the same length. Its true alignment is a tenth of an honest one."""
    dimension = len(NETWORK.start())

    found = gain(BEFORE)

    print(f"known seed: {found:.1f} times an honest score")
    assert found > (dimension / rows_of(dimension)) ** 0.5
    assert (dimension / rows_of(dimension)) ** 0.5 == pytest.approx(10.0, abs=0.05)


def test_who_guesses_at_a_seed_that_is_drawn_after_the_freeze_gains_nothing() -> None:
    """It is paid for a tenth of an update, within the error of the estimate."""
    found = gain(AFTER)

    print(f"another seed: {found:.2f} times an honest score")
    assert found < 0.3


@pytest.mark.parametrize("by", [1, -1, 10**6])
def test_a_single_liar_is_caught(by: int) -> None:
    """Whatever the others are, and however little it adds."""
    stated, total = sketched(network_round(), AFTER)
    stated[LAST] = (*stated[LAST][:-1], stated[LAST][-1] + by)

    with pytest.raises(FalseSketch, match="1 of 163 rows"):
        alignments(stated, total)


def colluding(times: float) -> tuple[list[Sketch], Sketch]:
    """Two sites move so much of the sum's sketch from the one to the other; they know it."""
    honestly, total = honest_sketches()
    stated = list(honestly)
    moved = [round(times * row) for row in total]
    stated[4] = tuple(row - by for row, by in zip(stated[4], moved, strict=True))
    stated[LAST] = tuple(row + by for row, by in zip(stated[LAST], moved, strict=True))
    return stated, total


def share_of_pair(scores: list[int]) -> float:
    """What two colluders get of the pay together; nobody pays in."""
    paid_for = [max(0, score) for score in scores]
    return sum(paid_for[4:]) / sum(paid_for)


def test_a_pair_shifts_score_between_its_sites_and_none_to_the_pair() -> None:
    """As long as neither of them falls below zero: products are linear in what is stated."""
    fair = alignments(*colluding(0.0))

    found = alignments(*colluding(0.1))

    print(f"shifted: {found[LAST] / fair[LAST]:.2f} and {found[4] / fair[4]:.2f} of an honest one")
    assert found[LAST] > 1.5 * fair[LAST]
    assert sum(found[4:]) == pytest.approx(sum(fair[4:]), abs=2)
    assert found[:4] == fair[:4]


def test_a_pair_gains_where_one_of_it_goes_unpaid_and_the_clip_bounds_it() -> None:
    """Below zero nobody pays in, so the other one's gain is the pair's.

    Without a bound on the length of a sketch, it would take all.
    """
    most = longest(bound())

    bounded, unbounded = (share_of_pair(alignments(*colluding(each))) for each in (most, 1000.0))

    print(f"a pair: fair {2 * FAIR:.1%}, within the clip {bounded:.1%}, otherwise {unbounded:.1%}")
    assert 2 * FAIR < bounded < 0.5
    assert unbounded > 0.99
    with pytest.raises(FalseSketch, match="site-5"):
        alignments(*colluding(1.1 * most), norm_bound=bound())


def longest(norm_bound: int) -> float:
    """The largest shift whose sketches all pass for clipped updates, to 1 %."""
    most = 0.0
    for times in np.arange(0.0, 2.0, 0.01):
        stated, total = colluding(times)
        check_sum(stated, total)
        try:
            check_norms({str(at): each for at, each in enumerate(stated)}, norm_bound)
        except FalseSketch:
            break
        most = float(times)
    return most


def test_an_unlucky_honest_site_is_not_far_off() -> None:
    """Estimates of six alike: within four standard errors of exact scores."""
    updates = network_round()
    exact = exact_scores(updates, [str(at) for at in range(6)]).scores

    found = alignments(*sketched(updates, AFTER))

    def error(of: Score) -> int:
        total = int(updates.sum(0) @ updates.sum(0))
        return isqrt((int(of.squared_norm) * total + int(of.alignment) ** 2) // 163)

    for estimate, score in zip(found, exact, strict=True):
        assert abs(estimate - int(score.alignment)) < 4 * error(score)
