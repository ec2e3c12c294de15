"""CrypTen draws from keys that two seats have in common, or not at all."""

import os
import sys

import numpy as np
import pytest

from privacy.crypten_door import import_crypten
from privacy.errors import InternalError
from privacy.mpc.compare import Within, within
from privacy.mpc.randomness import Draws, Generators, RandomFunctions

torch = pytest.importorskip("torch")
NAMES = ("generate_random_ring_element", "generate_kbit_random_tensor")


def test_draws_give_no_word_twice():
    """However they are asked for, and across the chunks of a keystream."""
    draws = Draws(os.urandom(32))

    words = np.concatenate(
        [draws.take(shape).reshape(-1) for shape in [(3,), (2, 5), (), (2**17 + 9,), (4,)]]
    )

    assert words.size == 3 + 10 + 1 + 2**17 + 9 + 4
    assert np.unique(words).size == words.size


def test_the_same_key_gives_the_same_words():
    """Two seats draw alike."""
    key = os.urandom(32)

    assert np.array_equal(Draws(key).take((5, 2)), Draws(key).take((5, 2)))
    assert not np.any(Draws(key).take((8,)) == Draws(os.urandom(32)).take((8,)))


def test_a_tensor_has_all_64_bits():
    """CrypTen's own leaves the largest number out."""
    ours = RandomFunctions(torch)

    tensor = ours.generate_random_ring_element((4096,), generator=Draws(bytes(32)))

    bits = np.unpackbits(tensor.numpy().view(np.uint8)).reshape(-1, 64).mean(axis=0)
    assert tensor.dtype == torch.int64
    assert np.all(abs(bits - 0.5) < 0.06)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("generator", [None, "theirs"])
def test_without_a_common_key_nothing_is_drawn(name, generator):
    """Neither from a generator of PyTorch nor from a local one."""
    given = torch.Generator() if generator else None

    with pytest.raises(InternalError):
        getattr(RandomFunctions(torch), name)((4,), generator=given)


def test_fewer_bits_than_a_word_are_not_drawn():
    """Nothing here needs them; they would not be what two seats share."""
    with pytest.raises(InternalError):
        RandomFunctions(torch).generate_kbit_random_tensor(
            (4,), bitlength=1, generator=Draws(bytes(32))
        )


@pytest.mark.parametrize("name", ["local", "global"])
def test_there_is_no_generator_of_one_seats_own(name):
    """CrypTen's has 32 bits of seed."""
    generators = Generators(torch.device("cpu"), Draws(bytes(32)), Draws(bytes(32)))

    with pytest.raises(InternalError):
        generators[name]


def _names_in_crypten(seat, shares, largest):
    """What CrypTen's modules hold under the names of random functions while it computes."""
    found = set()
    look = Within.compute

    def looking(self, crypten, number, rows):
        for name, module in list(sys.modules.items()):
            if name.startswith("crypten."):
                found.update(
                    (name, getattr(vars(module)[each], "__module__", "?"))
                    for each in NAMES
                    if each in vars(module)
                )
        return look(self, crypten, number, rows)

    Within.compute = looking
    try:
        within(seat, b"q", shares, largest)
    finally:
        Within.compute = look
    return found


def test_no_module_of_crypten_keeps_its_own_random_functions(trio):
    """Also those that took them by name when they loaded."""
    bounds = np.array([9], np.uint64)

    reports = trio.shares(_names_in_crypten, np.zeros((1, 1), np.uint64), bounds)

    for report in reports[:2]:
        assert {theirs for _, theirs in report.result} == {"privacy.mpc.randomness"}
        assert {name for name, _ in report.result} >= {
            "crypten.common.rng",
            "crypten.mpc.primitives.arithmetic",
            "crypten.mpc.primitives.binary",
            "crypten.mpc.provider.tfp_provider",
            "crypten.mpc.provider.ttp_provider",
        }


def _without_a_generator(seat, shares, largest):
    """Answer where PyTorch and NumPy and Python cannot draw."""
    import random  # noqa: PLC0415

    torch = import_crypten().torch

    def refuse(*_, **__):
        raise AssertionError("something drew")

    places = [
        *((torch, name) for name in ("rand", "randn", "randint", "normal", "Generator")),
        (torch, "manual_seed"),
        (np.random, "default_rng"),
        (random, "random"),
        (random, "choice"),
    ]
    kept = [getattr(*place) for place in places]
    for place in places:
        setattr(*place, refuse)
    try:
        return within(seat, b"q", shares, largest)
    finally:
        for place, value in zip(places, kept, strict=True):
            setattr(*place, value)


def test_an_answer_needs_no_generator(trio):
    """Every one of them is out of reach, and the answer is right."""
    values = np.array([[4], [11]], np.uint64)

    reports = trio.shares(_without_a_generator, values, np.array([9], np.uint64))

    assert [report.result.tolist() for report in reports] == [[True, False]] * 3


def _sharings_of_zero(seat, shares, largest):
    """What CrypTen draws to hide an input, in both of its ways."""
    drawn = []
    compute = Within.compute

    def drawing(self, crypten, number, rows):
        kinds = crypten.mpc.primitives
        for kind in (kinds.ArithmeticSharedTensor, kinds.BinarySharedTensor):
            drawn.append(kind.PRZS((256,)).share.numpy().view(np.uint64).copy())
        return compute(self, crypten, number, rows)

    Within.compute = drawing
    try:
        within(seat, b"q", shares, largest)
    finally:
        Within.compute = compute
    return drawn


def test_what_two_seats_draw_to_hide_an_input_is_a_sharing_of_zero(trio):
    """In sums and in bits; and neither share is zero."""
    reports = trio.shares(_sharings_of_zero, np.zeros((1, 1), np.uint64), np.ones(1, np.uint64))

    (sums, bits), (other_sums, other_bits), dealt = (report.result for report in reports)
    assert not np.any(sums + other_sums)
    assert not np.any(bits ^ other_bits)
    assert not np.any((sums == 0) | (bits == 0))
    assert dealt == []
