"""The coordinator's addition: exact at every reduction, and without TenSEAL."""

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.limbs import decode_chunk, encode_chunk
from privacy.schemes.ckks_parameters import MODULUS_4096, CkksParameters
from privacy.schemes.ckks_sum import CkksCombiner

PARAMETERS = CkksParameters(28, 24, 100)
COMBINER = CkksCombiner(PARAMETERS, 4096)


def payload(value: int | np.ndarray, second: int = 1) -> bytes:
    words = np.full((1, 2, 1, 4096), second, np.uint64)
    words[0, 0, 0, :] = value
    return encode_chunk(PARAMETERS.layout, 0, words)


@pytest.mark.parametrize("cohort", [1, 2, 15, 16, 17, 31, 32, 100])
def test_the_largest_residues_never_leave_their_words(cohort: int) -> None:
    """Sixteen residues of q - 1 just fit in 64 bits; a seventeenth would wrap unseen."""
    largest = payload(MODULUS_4096 - 1, MODULUS_4096 - 1)

    total = COMBINER.combine(0, [largest] * cohort)

    words = decode_chunk(PARAMETERS.layout, 0, 1, total)
    assert set(words.reshape(-1).tolist()) == {MODULUS_4096 - cohort}


def test_the_order_of_contributions_does_not_matter() -> None:
    """Whoever re-adds gets the same bytes."""
    draw = np.random.default_rng(3)
    parts = [payload(draw.integers(0, MODULUS_4096, 4096, np.uint64)) for _ in range(20)]

    assert COMBINER.combine(0, parts) == COMBINER.combine(0, parts[::-1])


def residues(seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return draw.integers(0, MODULUS_4096, (1, 2, 1, 4096), np.uint64)


def expected(seeds: list[int]) -> bytes:
    """Added up in integers that do not overflow."""
    total = sum(residues(seed).astype(object) for seed in seeds) % MODULUS_4096
    return encode_chunk(PARAMETERS.layout, 0, total.astype(np.uint64))


def chunk(seed: int) -> bytes:
    return encode_chunk(PARAMETERS.layout, 0, residues(seed))


@pytest.mark.parametrize("cohort", [1, 2, 3, 16, 17, 50])
def test_the_sum_is_that_of_all_of_any_residues(cohort: int) -> None:
    """Each is decoded over the one before it, and none is lost or counted twice."""
    seeds = list(range(cohort))

    assert COMBINER.combine(0, map(chunk, seeds)) == expected(seeds)


@pytest.mark.parametrize("bad", [b"", b"rotten", payload(1)[:-1], payload(1, second=0)], ids=len)
@pytest.mark.parametrize("before", [0, 1, 2])
def test_what_is_refused_is_not_added(bad: bytes, before: int) -> None:
    """Neither whole nor in part, and what follows adds up as if it had not been there."""
    addition = COMBINER.begin(0)
    for seed in range(before):
        addition.check_and_add(chunk(seed))

    with pytest.raises(MalformedMessage):
        addition.check_and_add(bad)
    for seed in range(before, 4):
        addition.check_and_add(chunk(seed))

    assert addition.finish() == expected([0, 1, 2, 3])


def test_a_residue_too_large_in_the_last_word_is_not_added() -> None:
    """All the others have been decoded by then."""
    addition = COMBINER.begin(0)
    addition.add(chunk(0))
    broken = bytearray(chunk(1))
    broken[-8:] = b"\xff" * 8

    with pytest.raises(MalformedMessage, match="not below"):
        addition.add(bytes(broken))
    addition.add(chunk(2))

    assert addition.finish() == expected([0, 2])


def test_a_sum_may_be_looked_at_and_grow() -> None:
    """Looking at it makes its residues canonical, at whatever number of contributions."""
    addition = COMBINER.begin(0)
    for seed in range(40):
        addition.add(chunk(seed))
        if seed % 7 == 0:
            assert addition.finish() == expected(list(range(seed + 1)))

    assert addition.finish() == expected(list(range(40)))


def test_an_addition_takes_two_arrays_whatever_the_cohort() -> None:
    """Of 64 bits a residue; a third or a tenth contribution allocates nothing of that size."""
    combiner = CkksCombiner(replace(PARAMETERS, ciphertexts_per_chunk=17), 17 * 4096)
    big = encode_chunk(PARAMETERS.layout, 0, np.ones((17, 2, 1, 4096), np.uint64))
    array = 17 * 2 * 4096 * 8
    addition = combiner.begin(0)
    addition.add(big)
    addition.add(big)
    tracemalloc.start()
    try:
        held, _ = tracemalloc.get_traced_memory()
        for _ in range(8):
            addition.add(big)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak - held < array / 4


def test_contributions_are_taken_one_at_a_time() -> None:
    """An addition holds one contribution and the total, whatever the cohort."""
    alive: list[int] = []

    def spool() -> Iterator[bytes]:
        for value in range(5):
            alive.append(value)
            yield payload(value)

    COMBINER.combine(0, iter(spool()))

    assert alive == [0, 1, 2, 3, 4]


def test_more_contributions_than_planned_are_not_added() -> None:
    """They could wrap; the 101st stops the sum."""
    with pytest.raises(UnsafeParameters, match="101 contributions"):
        COMBINER.combine(0, [payload(1)] * 101)


def test_a_ciphertext_that_hides_nothing_is_refused() -> None:
    """With a zero second polynomial the first is the message in the clear."""
    with pytest.raises(MalformedMessage, match="not encrypted"):
        COMBINER.check(0, payload(5, second=0))


def test_a_residue_at_the_modulus_is_refused() -> None:
    """The same residue would have two forms, and a root would not be one of the sum."""
    good = payload(0)
    header, body = good[:30], bytearray(good[30:])
    body[:8] = (MODULUS_4096).to_bytes(8, "little")

    with pytest.raises(MalformedMessage, match="not below"):
        COMBINER.check(0, header + bytes(body))


def test_a_chunk_is_refused_in_another_place() -> None:
    """Its index is in its header, and in every leaf."""
    two = CkksCombiner(PARAMETERS, 8192)

    with pytest.raises(MalformedMessage, match="chunk index"):
        two.check(1, payload(1))


def test_adding_needs_no_ciphertext_library() -> None:
    """Whoever imports the addition has imported nothing that makes or uses keys."""
    script = (
        "import sys, privacy.schemes, privacy.schemes.ckks_sum\n"
        "print(sorted(n for n in sys.modules if 'seal' in n.lower() or n.endswith('.ckks')))"
    )

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert [name for name in eval(run.stdout) if name != "privacy.sealing"] == []
