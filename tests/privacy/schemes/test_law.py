"""One law, every scheme: what is revealed is exactly the sum of what was protected."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import CohortTooSmall, MalformedMessage, UpdateOutOfRange
from privacy.merkle import piece_root
from privacy.schemes.base import Combiner, Geometry, Integers, Protector, Revealer
from privacy.schemes.ckks import make_cohort_key
from privacy.schemes.ckks_parameters import CkksParameters, fitting
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.plain import PlainCombiner, PlainProtector, PlainRevealer
from privacy.schemes.shares.layout import SharesParameters
from privacy.schemes.shares.opening import SharesRevealer
from tests.privacy.schemes import masked
from tests.privacy.schemes.shares.three_seats import FreshProtector, ThreeSeats

LAST = 50
"""Values of the second chunk, which is short."""


@dataclass(frozen=True)
class Roles:
    geometry: Geometry
    largest: int
    protector: Protector
    combiner: Combiner
    revealer: Revealer


def _plain() -> Roles:
    geometry, largest = Geometry(4096 + LAST, 4096), 2**23 - 1
    return Roles(
        geometry,
        largest,
        PlainProtector(geometry, largest),
        PlainCombiner(geometry),
        PlainRevealer(geometry),
    )


def _ckks(parameters: CkksParameters) -> Roles:
    dimension = parameters.geometry(1).values_per_chunk + LAST
    key = make_cohort_key(parameters)
    return Roles(
        parameters.geometry(dimension),
        parameters.largest_value,
        masked.protector(parameters, dimension, key.public),
        CkksCombiner(parameters, dimension),
        masked.AnyCohort(parameters, dimension, key.secret),
    )


def _shares(parameters: SharesParameters) -> Roles:
    dimension = parameters.geometry(1).values_per_chunk + LAST
    return Roles(
        parameters.geometry(dimension),
        parameters.largest_value,
        FreshProtector(parameters, dimension),
        ThreeSeats(parameters, dimension),
        SharesRevealer(parameters, dimension),
    )


SCHEMES = {
    "plain": _plain,
    "ckks": lambda: _ckks(CkksParameters(28, 24, 100)),
    # Few bits, so that a hundred times the noise of one ciphertext still rounds away.
    "ckks, two in a half": lambda: _ckks(fitting(value_bits=8, cohort_max=100)),
    "ckks, two in a half, two in a chunk": lambda: _ckks(
        fitting(value_bits=8, cohort_max=100, ciphertexts_per_chunk=2)
    ),
    "shares": lambda: _shares(SharesParameters(40, 100, 1, leaves_per_chunk=16)),
    "shares, two in a word": lambda: _shares(SharesParameters(24, 100, 2, leaves_per_chunk=8)),
    "shares, four in a word": lambda: _shares(SharesParameters(9, 100, 4, leaves_per_chunk=8)),
}


@pytest.fixture(params=SCHEMES.values(), ids=SCHEMES.keys(), scope="module")
def roles(request: pytest.FixtureRequest) -> Roles:
    return request.param()


def protect(roles: Roles, update: Integers) -> list[bytes]:
    return [
        roles.protector.protect(chunk, update[roles.geometry.span(chunk)])
        for chunk in range(roles.geometry.chunks)
    ]


def reveal(roles: Roles, contributions: list[list[bytes]]) -> Integers:
    return np.concatenate(
        [
            roles.revealer.reveal(
                chunk,
                roles.combiner.combine(chunk, (each[chunk] for each in contributions)),
                len(contributions),
            )
            for chunk in range(roles.geometry.chunks)
        ]
    )


@given(seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=5))
@settings(deadline=None, max_examples=8)
def test_the_sum_is_exact(roles: Roles, seeds: list[int]) -> None:
    """For any updates on the grid."""
    updates = [
        np.random.default_rng(seed).integers(
            -roles.largest, roles.largest, roles.geometry.dimension, endpoint=True
        )
        for seed in seeds
    ]

    revealed = reveal(roles, [protect(roles, update) for update in updates])

    assert np.array_equal(revealed, np.sum(updates, axis=0))


# In units of the largest value, by index.
EXTREMES = {
    "all at +max": np.ones_like,
    "all at -max": lambda index: -np.ones_like(index),
    "signs in turn": lambda index: 1 - 2 * (index % 2),
    "parts against each other": lambda index: np.where(index % 4096 < 2048, 1, -1),
    "fields against each other": lambda index: np.where(index % 8192 < 4096, -1, 1),
    "one at the edge": lambda index: (index == 17).astype(np.int64),
    "zero": np.zeros_like,
}


@pytest.mark.parametrize("cohort", [1, 2, 15, 16, 17, 32, 100])
@pytest.mark.parametrize("name", EXTREMES)
def test_the_extremes_of_any_cohort_are_exact(roles: Roles, name: str, cohort: int) -> None:
    """The same update again and again is the furthest that a sum can go."""
    update = roles.largest * EXTREMES[name](np.arange(roles.geometry.dimension))
    contribution = protect(roles, update)

    revealed = reveal(roles, [contribution] * cohort)

    assert np.array_equal(revealed, cohort * update)


def test_every_chunk_has_its_own_root(roles: Roles) -> None:
    """Who signs, who receives and who audits compute the same one."""
    contribution = protect(roles, np.ones(roles.geometry.dimension, np.int64))

    roots = [roles.combiner.check(chunk, payload) for chunk, payload in enumerate(contribution)]

    assert [len(root) for root in roots] == [32, 32]
    assert len({*roots, piece_root(roots)}) == 3


@pytest.mark.parametrize(
    "beyond",
    [
        lambda largest: largest + 1,
        lambda largest: -largest - 1,
        lambda _: -(2**63),
        lambda _: 2**63 - 1,
    ],
    ids=["above", "below", "smallest", "largest"],
)
def test_a_value_off_the_grid_is_not_protected(roles: Roles, beyond: Callable[[int], int]) -> None:
    """It could wrap the sum of everybody, or run into another value."""
    values = np.zeros(LAST, np.int64)
    values[3] = beyond(roles.largest)

    with pytest.raises(UpdateOutOfRange):
        roles.protector.protect(1, values)


@pytest.mark.parametrize("shape", [(49,), (51,), (0,), (50, 1)])
def test_a_chunk_takes_exactly_its_values(roles: Roles, shape: tuple[int, ...]) -> None:
    """The plan fixes how many there are."""
    with pytest.raises(UpdateOutOfRange):
        roles.protector.protect(1, np.zeros(shape, np.int64))


def test_there_is_no_chunk_after_the_last(roles: Roles) -> None:
    """Nor before the first."""
    for chunk in (2, -1):
        with pytest.raises(MalformedMessage, match="no chunk"):
            roles.combiner.check(chunk, b"")


def test_a_cut_chunk_is_refused(roles: Roles) -> None:
    """At the door, in the sum, and when it is opened."""
    payload = roles.protector.protect(1, np.zeros(LAST, np.int64))[:-1]

    with pytest.raises(MalformedMessage):
        roles.combiner.check(1, payload)
    with pytest.raises(MalformedMessage):
        roles.combiner.combine(1, [payload])
    with pytest.raises(MalformedMessage):
        roles.revealer.reveal(1, payload, 1)


def test_a_sum_of_nothing_is_refused(roles: Roles) -> None:
    """There is nobody whose sum it would be."""
    with pytest.raises(CohortTooSmall):
        roles.combiner.combine(0, [])
