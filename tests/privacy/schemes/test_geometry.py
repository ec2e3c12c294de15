"""A vector is cut into chunks without a gap."""

import pytest

from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.schemes.base import Geometry


@pytest.mark.parametrize(
    ("dimension", "per", "sizes"),
    [(1, 4, [1]), (4, 4, [4]), (5, 4, [4, 1]), (16_353, 4096, [4096, 4096, 4096, 4065])],
)
def test_chunks_cover_the_vector(dimension: int, per: int, sizes: list[int]) -> None:
    """In order, and only the last may be short."""
    geometry = Geometry(dimension, per)

    spans = [geometry.span(chunk) for chunk in range(geometry.chunks)]

    assert [span.stop - span.start for span in spans] == sizes
    assert [span.start for span in spans] == [per * at for at in range(len(sizes))]


@pytest.mark.parametrize(("dimension", "per"), [(0, 4), (-1, 4), (2**30 + 1, 4), (4, 0)])
def test_a_vector_that_cannot_be_cut_is_refused(dimension: int, per: int) -> None:
    """The guard's probability is computed for 2^30 values at most."""
    with pytest.raises(UnsafeParameters):
        Geometry(dimension, per)


@pytest.mark.parametrize("chunk", [-1, 2])
def test_a_chunk_outside_the_vector_is_refused(chunk: int) -> None:
    """Python would take -1 for the last one."""
    with pytest.raises(MalformedMessage):
        Geometry(5, 4).values_in(chunk)
