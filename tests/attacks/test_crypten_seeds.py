"""Who guesses a seed takes the mask off: 32 bits on CrypTen's CPU generator, 256 bits here.

CrypTen draws 64 bits of seed from the operating system, and PyTorch's CPU generator takes the
lower 32 of them. A few known values of an update, such as a padded tail, tell which guess is
right. All 2^32 take about 1.3 core-hours; the search here goes through a window around the
right one, and the same search goes through the same window of ours.

Sources: pytorch, aten/src/ATen/CPUGeneratorImpl.cpp (mt19937 is seeded with 32 bits);
crypten 0.4.1, __init__.py (_setup_prng) and common/rng.py.
"""

import ast
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from privacy.schemes.shares.layout import SharesParameters, Words, flat
from privacy.schemes.shares.sharing import component_stream
from tests.attacks.crypten_parties import INPUT, SOURCE, masks, parties
from tests.privacy.schemes.shares.three_seats import CONTEXT, send
from tests.source_tree import ROOT, parsed

pytest.importorskip("torch")

KNOWN = 4
"""Values that the attacker knows already."""

WINDOW = 1500
UPDATE = np.array(INPUT, np.int64)


def search(
    hidden: Words, mask_of: Callable[[int], Words], guesses: Iterable[int]
) -> list[tuple[int, Words]]:
    """Guesses whose mask gives the known values, and what it gives for all of them."""
    known = UPDATE[:KNOWN].view(np.uint64)
    found = ((guess, hidden - mask_of(guess)) for guess in guesses)
    return [(guess, words) for guess, words in found if np.array_equal(words[:KNOWN], known)]


def around(low: int) -> range:
    """A window of 32-bit numbers that has this one somewhere."""
    start = max(0, low - low % 977 % WINDOW)
    return range(start, start + WINDOW)


@pytest.mark.parametrize("seed", [5, 2**31, 2**32 - 1])
def test_only_the_lower_half_of_a_seed_of_cryptens_counts(seed):
    """What looks like 64 bits is 32."""
    assert np.array_equal(masks(seed, 64), masks(seed + 2**32, 64))
    assert np.array_equal(masks(seed, 64), masks(seed + 77 * 2**32, 64))
    assert not np.any(masks(seed, 64) == masks(seed ^ 1, 64))


def test_a_search_of_32_bits_opens_an_input_of_cryptens():
    """The control: seeds that CrypTen drew itself, in processes of its own.

    The attacker is the next party: it has the seed that it shares with the source, sees the
    source's share when it is opened, and searches the seed that the source shares with its
    other neighbour.
    """
    source = parties(3)[SOURCE]
    hidden = source.share + masks(source.seed_with_next, UPDATE.size)
    low = source.seed_with_previous % 2**32

    found = search(hidden, lambda seed: masks(seed, UPDATE.size), around(low))

    assert [guess for guess, _ in found] == [low]
    assert np.array_equal(found[0][1].view(np.int64), UPDATE)


def test_the_same_search_opens_nothing_of_ours():
    """A seat with two components and the lower 32 bits of the third's secret."""
    parameters = SharesParameters(17, 8, leaves_per_chunk=1)
    sent = send(parameters, UPDATE)
    held = sent.held(parameters, UPDATE.size, 1).blocks(0, sent.payloads[0])
    hidden = flat(held[0] + held[1], UPDATE.size)
    missing = sent.secrets.secrets[0]
    low = int.from_bytes(missing[:4], "little")

    def masks_of(secret: bytes) -> Words:
        # What is missing is added to what is held, where CrypTen's mask is taken off.
        return -component_stream(CONTEXT, 0, secret).words(0, (UPDATE.size,))

    found = search(hidden, lambda guess: masks_of(guess.to_bytes(32, "little")), around(low))
    told = search(hidden, lambda _: masks_of(missing), [0])

    assert found == []
    assert np.array_equal(told[0][1].view(np.int64), UPDATE), "the search itself works"


def test_secrets_that_are_equal_in_32_bits_give_different_streams():
    """In any 32 of their 256."""
    secret = os.urandom(32)
    words = component_stream(CONTEXT, 0, secret).words(0, (64,))

    for at in range(0, 32, 4):
        other = bytearray(os.urandom(32))
        other[at : at + 4] = secret[at : at + 4]
        assert not np.any(component_stream(CONTEXT, 0, bytes(other)).words(0, (64,)) == words)


@pytest.mark.parametrize("path", sorted((ROOT / "privacy").rglob("*.py")), ids=lambda p: p.stem)
def test_no_module_of_privacy_draws_from_a_generator_that_can_be_guessed(path: Path) -> None:
    """Neither numpy's nor PyTorch's: entropy is an argument, and it is the system's."""
    names = {node.attr for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute)}

    assert not names & {"random", "default_rng", "RandomState", "Generator", "manual_seed"}
