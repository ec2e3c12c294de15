"""Bytes from elsewhere are read as the one value they encode, or refused; nothing else happens."""

import tracemalloc
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import records
from tests.fuzz.decoders import DECODERS, check
from tests.fuzz.mutation import mutated_as

CORPUS = Path(__file__).parent / "corpus"
"""By decoder, inputs that a fuzzer kept because each reaches code that the others do not."""

ALLOWED_PER_BYTE, ALLOWED = 16, 1 << 20
"""Memory that reading may take at its most: a multiple of what came, and a megabyte."""

every_decoder = pytest.mark.parametrize("name", DECODERS)


@pytest.fixture
def measured():
    """Returns the most memory that a call took, in bytes; numpy's arrays are in it."""
    tracemalloc.start()

    def most(call) -> int:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before

    yield most
    tracemalloc.stop()


@every_decoder
def test_what_it_is_for_is_read(name):
    """The control: no decoder keeps the law by refusing everything."""
    decoder = DECODERS[name]

    assert decoder.seeds
    assert all(check(decoder, seed) for seed in decoder.seeds)


@every_decoder
@given(draw=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=120)
def test_a_changed_encoding_is_refused_or_is_another_value(name, draw):
    """Near misses are where decoders err."""
    check(DECODERS[name], mutated_as(name, b"", draw))


@every_decoder
@given(body=st.binary(max_size=300))
@settings(deadline=None, max_examples=40)
def test_any_bytes_are_refused_or_have_one_value(name, body):
    check(DECODERS[name], body)


@pytest.mark.parametrize("name", [name for name, each in DECODERS.items() if each.ends])
def test_every_prefix_is_refused(name):
    """A connection may end anywhere."""
    decoder = DECODERS[name]
    for seed in decoder.seeds:
        step = 1 + len(seed) // 500
        assert not any(check(decoder, seed[:at]) for at in range(0, len(seed), step))


@every_decoder
def test_what_speaks_of_much_is_refused_without_making_room_for_it(name, measured):
    """A header costs its sender nothing: no count in it is believed before the bytes are there."""
    decoder = DECODERS[name]

    for body in decoder.hostile:
        accepted = []
        most = measured(lambda body=body, seen=accepted: seen.append(check(decoder, body)))

        assert accepted == [False]
        assert most < ALLOWED_PER_BYTE * len(body) + ALLOWED


@every_decoder
def test_memory_follows_what_came(name, measured):
    """For changed encodings as well, and whatever their numbers say."""
    decoder, draw = DECODERS[name], Random(name)

    for _ in range(60):
        body = mutated_as(name, b"", draw)
        most = measured(lambda body=body: check(decoder, body))
        assert most < ALLOWED_PER_BYTE * len(body) + ALLOWED


@every_decoder
def test_what_fuzzing_kept_obeys_the_law(name):
    """The committed corpus: each input once, in every run."""
    bodies = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]

    assert bodies
    for body in bodies:
        check(DECODERS[name], body)


def test_every_record_that_can_be_signed_is_among_them():
    """A new record is fuzzed without anybody's remembering it."""
    named = {purpose.value.split("/")[1] for purpose in records.PURPOSES.values()}

    assert named <= set(DECODERS)
    assert all(DECODERS[name].seeds for name in named)
