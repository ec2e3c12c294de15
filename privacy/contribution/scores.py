"""What each site's update was worth, from two numbers about it, as whole weights to pay by.

With x_i the update of site i, P the sum over the cohort, and all numbers in squared grid steps,
a scheme opens |x_i|² and x_i·P, rounded. No update is needed for

    alignment        x_i·P                    its part in the length of the sum
    cosine           x_i·P / |x_i|            the same per length of its own
    norm             |x_i|                    how far it moves
    leave one out    |P|² - |P - x_i|²        = 2·x_i·P - |x_i|²

**Alignment is a Shapley value, exactly.** In the game in which a coalition S is worth
|sum of x_i in S|², site i adds |x_i|² + 2·x_i·(those before it); before it comes each other one in
half of all orders, so its mean is |x_i|² + sum over j != i of x_i·x_j = x_i·P. The parts add up to
|P|². It is also, up to the factor |P|, the value of the additive game in which S is worth the
length of its sum along P. The cosine is the same for updates of length one.

*What it does not tell.* Whether P is a good direction: it is the cohort's, and a majority of
liars is a majority. docs/contribution.md has what was measured, and who can cheat how.

Source: Shapley, "A Value for n-Person Games", 1953; Xu, Lyu, Ma, Miao, Foo, Low, "Gradient
Driven Rewards to Guarantee Fairness in Collaborative Machine Learning", NeurIPS 2021 (the cosine
with the sum as an approximate Shapley value).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from math import isqrt
from typing import Final

from privacy.errors import UnsafeParameters, WrongContext
from privacy.identifiers import ParticipantId
from privacy.plan import ALIGNMENT_RELEASE, SCORE_RELEASES
from privacy.records import Score, Scores


class Method(StrEnum):
    """How weights are made; a programme or a plan names one, and it never changes its meaning."""

    PARTICIPATION = "participation/1"
    """1 for each site of the cohort; needs no scores."""
    ALIGNMENT = "alignment/1"
    """x_i·P."""
    COSINE = "cosine/1"
    """floor(2^16·x_i·P / |x_i|)."""
    NORM = "norm/1"
    """floor(2^16·|x_i|)."""
    LEAVE_ONE_OUT = "leave-one-out/1"
    """2·x_i·P - |x_i|²."""


_FRACTION_BITS: Final = 16


def default_method(*, scored: bool) -> Method:
    """Return how a programme pays that names no method.

    Args:
        scored: whether its plans have squared norms and alignments opened. Under mechanism
            `distributed` none has: a single update lacks most of the noise.
    """
    return Method.ALIGNMENT if scored else Method.PARTICIPATION


def check_method(method: Method, *, opened: Collection[str]) -> None:
    """Return if plans open what the method needs.

    Args:
        opened: the scores that plans have opened, in the words of their releases: both of
            `SCORE_RELEASES` under `shares`, the alignment alone under `ckks`.

    Raises:
        UnsafeParameters: they do not, so that nobody would ever earn anything.
    """
    missing = missing_for(method, opened=opened)
    if missing:
        raise UnsafeParameters(
            f"{method} needs {' and '.join(missing)}, which the plan does not release; name "
            f"{Method.ALIGNMENT if ALIGNMENT_RELEASE in opened else Method.PARTICIPATION}"
        )


def missing_for(method: Method, *, opened: Collection[str]) -> tuple[str, ...]:
    """Return which scores the method needs that plans do not open; as `check_method`."""
    return tuple(name for name in _NEEDED[method] if name not in opened)


def only_method(*, opened: Collection[str]) -> Method | None:
    """Return the one method by which plans can be paid that open this; None if there are more."""
    found = [each for each in Method if not missing_for(each, opened=opened)]
    return found[0] if len(found) == 1 else None


def weights(
    method: Method, cohort: Sequence[ParticipantId], scores: Scores | None
) -> dict[ParticipantId, int]:
    """Return by which whole numbers a round is paid, in the cohort's order: 0 to 2^128 - 1.

    What would be negative is 0: nobody pays in. If all are 0, nobody earns in this round and its
    budget stays where it is. So it is without scores and where they are void, under a method that
    needs them: paid by participation, who expects a low score would void the round's.

    Args:
        scores: what was opened of this cohort; None if nothing was.

    Raises:
        WrongContext: the scores are of other sites than the cohort's.
    """
    if method is Method.PARTICIPATION:
        return dict.fromkeys(cohort, 1)
    if scores is None or scores.void:
        return dict.fromkeys(cohort, 0)
    if sorted(each.participant for each in scores.scores) != sorted(cohort):
        raise WrongContext(f"scores of round {scores.round} are not those of its cohort")
    found = {each.participant: max(0, _FORMULAS[method](each)) for each in scores.scores}
    return {name: found[name] for name in cohort}


def earned(budget: int, of: Mapping[ParticipantId, int]) -> dict[ParticipantId, int]:
    """Return floor(budget · weight / sum of weights) of each; 0 for all where the sum is 0.

    What the floors leave, less than one unit a site, stays where it is.

    Args:
        budget: of the round, in the token's smallest unit, not negative.
        of: weights, not negative.

    Raises:
        UnsafeParameters: a negative number.
    """
    if budget < 0 or min(of.values(), default=0) < 0:
        raise UnsafeParameters(f"a budget of {budget} over weights of which one is negative")
    # Of nothing everyone has nothing.
    total = sum(of.values()) or 1
    return {name: budget * weight // total for name, weight in of.items()}


def _alignment(score: Score) -> int:
    return int(score.alignment)


def _cosine(score: Score) -> int:
    alignment, squared_norm = int(score.alignment), int(score.squared_norm)
    if alignment <= 0 or squared_norm <= 0:
        return 0
    return isqrt((alignment << _FRACTION_BITS) ** 2 // squared_norm)


def _norm(score: Score) -> int:
    return isqrt(max(0, int(score.squared_norm)) << 2 * _FRACTION_BITS)


def _leave_one_out(score: Score) -> int:
    return 2 * int(score.alignment) - int(score.squared_norm)


_NEEDED: Final[Mapping[Method, tuple[str, ...]]] = {
    Method.PARTICIPATION: (),
    Method.ALIGNMENT: (ALIGNMENT_RELEASE,),
    Method.COSINE: SCORE_RELEASES,
    Method.NORM: SCORE_RELEASES,
    Method.LEAVE_ONE_OUT: SCORE_RELEASES,
}
"""Which scores each method is made of."""

_FORMULAS: Final[Mapping[Method, Callable[[Score], int]]] = {
    Method.ALIGNMENT: _alignment,
    Method.COSINE: _cosine,
    Method.NORM: _norm,
    Method.LEAVE_ONE_OUT: _leave_one_out,
}
