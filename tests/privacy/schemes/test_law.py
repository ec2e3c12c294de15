"""One law, every scheme: what is revealed is exactly the sum of what was protected."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import CohortTooSmall, MalformedMessage, UpdateOutOfRange
from privacy.merkle import piece_root
from privacy.schemes.base import Combiner, Geometry, Integers, Protector, Revealer
from privacy.schemes.ckks import CkksProtector, CkksRevealer, make_cohort_key
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.plain import PlainCombiner, PlainProtector, PlainRevealer

DIMENSION = 4096 + 50
LARGEST = 2**23 - 1


@dataclass(frozen=True)
class Roles:
    geometry: Geometry
    protector: Protector
    combiner: Combiner
    revealer: Revealer


def _plain() -> Roles:
    geometry = Geometry(DIMENSION, 4096)
    return Roles(
        geometry,
        PlainProtector(geometry, LARGEST),
        PlainCombiner(geometry),
        PlainRevealer(geometry),
    )


def _ckks() -> Roles:
    parameters = CkksParameters(scale_log2=28, value_bits=24, cohort_max=100)
    key = make_cohort_key(parameters)
    return Roles(
        parameters.geometry(DIMENSION),
        CkksProtector(parameters, DIMENSION, key.public),
        CkksCombiner(parameters, DIMENSION),
        CkksRevealer(parameters, DIMENSION, key.secret),
    )


@pytest.fixture(params=[_plain, _ckks], ids=["plain", "ckks"], scope="module")
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
        np.random.default_rng(seed).integers(-LARGEST, LARGEST, DIMENSION, endpoint=True)
        for seed in seeds
    ]

    revealed = reveal(roles, [protect(roles, update) for update in updates])

    assert np.array_equal(revealed, np.sum(updates, axis=0))


EXTREMES = {
    "all at +max": np.full(DIMENSION, LARGEST),
    "all at -max": np.full(DIMENSION, -LARGEST),
    "signs in turn": LARGEST * (1 - 2 * (np.arange(DIMENSION) % 2)),
    "halves against each other": LARGEST * np.where(np.arange(DIMENSION) % 4096 < 2048, 1, -1),
    "one at the edge": np.eye(1, DIMENSION, 17, dtype=np.int64)[0] * LARGEST,
    "zero": np.zeros(DIMENSION, np.int64),
}


@pytest.mark.parametrize("cohort", [1, 2, 15, 16, 17, 32, 100])
@pytest.mark.parametrize("name", EXTREMES)
def test_the_extremes_of_any_cohort_are_exact(roles: Roles, name: str, cohort: int) -> None:
    """The same update again and again is the furthest that a sum can go."""
    update = EXTREMES[name].astype(np.int64)
    contribution = protect(roles, update)

    revealed = reveal(roles, [contribution] * cohort)

    assert np.array_equal(revealed, cohort * update)


def test_every_chunk_has_its_own_root(roles: Roles) -> None:
    """Who signs, who receives and who audits compute the same one."""
    contribution = protect(roles, np.ones(DIMENSION, np.int64))

    roots = [roles.combiner.check(chunk, payload) for chunk, payload in enumerate(contribution)]

    assert [len(root) for root in roots] == [32, 32]
    assert len({*roots, piece_root(roots)}) == 3


@pytest.mark.parametrize("beyond", [LARGEST + 1, -LARGEST - 1, -(2**63), 2**63 - 1])
def test_a_value_off_the_grid_is_not_protected(roles: Roles, beyond: int) -> None:
    """It could wrap the sum of everybody."""
    values = np.zeros(50, np.int64)
    values[3] = beyond

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
    payload = roles.protector.protect(1, np.zeros(50, np.int64))[:-1]

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
