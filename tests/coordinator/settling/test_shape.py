"""The shape that a programme's terms have is that of what sites contribute."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from coordinator.settling.shape import shape_of
from privacy.merkle import chunk_leaves
from privacy.schemes.ckks_sum import CkksCombiner
from tests import fakes
from tests.coordinator import seated_round


def test_leaves_are_those_of_real_chunks_under_ckks():
    settings = fakes.make_settings()
    plan = fakes.make_plan(settings)
    words = CkksCombiner(plan.parameters(), plan.arithmetic.dimension).decode(
        0, fakes.chunk_of(fakes.seed_of(fakes.SITES[0], 1), 0)
    )

    shape = shape_of(settings)

    assert shape.arithmetic == plan.arithmetic.digest()
    assert shape.last_chunk_leaves == len(chunk_leaves(0, words.reshape(-1, *words.shape[2:])))
    assert shape.leaves_per_chunk == shape.last_chunk_leaves


@pytest.mark.parametrize("dimension", [1_000, 3_000_000])
def test_under_shares_they_are_those_of_the_plan(dimension):
    settings = seated_round.make_settings(Path("/nowhere"))
    settings = replace(settings, model=replace(settings.model, dimension=dimension))

    shape = shape_of(settings)

    assert 0 < shape.last_chunk_leaves <= shape.leaves_per_chunk
