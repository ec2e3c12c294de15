"""While a question takes, CrypTen has nothing of its own; afterwards it does not compute."""

from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from privacy.crypten_door import import_crypten
from privacy.errors import InternalError, NotYet
from privacy.mpc.compare import within
from privacy.mpc.greeting import greet
from privacy.mpc.session import reserved
from privacy.mpc.triples import Triples
from privacy.schemes.keystream import Use
from tests.privacy.mpc.sockets import listening
from tests.privacy.mpc.trio import at_once, three_seats

torch = pytest.importorskip("torch")
STARTERS = ("init", "init_thread", "uninit", "manual_seed", "_setup_prng", "_sync_seeds")


@pytest.fixture
def opened():
    """A session of seat 0, as a function."""
    seats = three_seats()
    pairs = at_once(*[partial(greet, seat, b"q") for seat in seats])[0]

    @contextmanager
    def opening():
        triples = Triples(pairs[2].draws(Use.MPC_TRIPLES))
        with reserved() as process, process.session(0, pairs[1], triples) as crypten:
            yield crypten

    return opening


def test_crypten_talks_through_a_communicator_of_ours(opened):
    """As one of its own kind."""
    with opened() as crypten:
        communicator = crypten.communicator.get()

        assert isinstance(communicator, crypten.communicator.Communicator)
        assert crypten.communicator.is_initialized()
        assert (communicator.get_rank(), communicator.get_world_size()) == (0, 2)


def test_no_port_is_opened_and_no_process_group(opened):
    """Nothing that a stranger could find."""
    before = listening()

    with opened():
        assert not torch.distributed.is_initialized()
        assert listening() == before


def test_a_process_computes_one_thing_at_a_time(opened):
    """CrypTen would mix up the messages of two."""
    with opened(), pytest.raises(NotYet), opened():
        pass

    with opened():
        pass


def test_a_process_that_computes_already_says_so_before_it_sends_anything():
    """Others have not begun to count on it; the question can be asked again."""
    seat = three_seats()[0]

    with reserved(), pytest.raises(NotYet):
        within(seat, b"q", np.zeros((1, 1), np.uint64), np.ones(1, np.uint64))

    assert all(waiting.empty() for waiting in seat.link.queues.values())


def test_after_a_failure_the_next_may_compute(opened):
    """A lock that stays shut would need a restart."""
    with pytest.raises(ValueError, match="on purpose"), opened():
        raise ValueError("on purpose")

    with opened() as crypten:
        assert crypten.communicator.is_initialized()


def test_afterwards_crypten_is_as_it_was(opened):
    """Which is to say that it does not compute."""
    crypten = import_crypten()
    names = ["generators", *STARTERS]
    before = [getattr(crypten, name) for name in names]
    random = crypten.common.rng.generate_random_ring_element

    with opened():
        assert crypten.common.rng.generate_random_ring_element is not random

    assert [getattr(crypten, name) for name in names] == before
    assert crypten.common.rng.generate_random_ring_element is random
    assert crypten.cfg.mpc.provider == "TFP"
    with pytest.raises(RuntimeError, match="not initialized"):
        crypten.communicator.get()


@pytest.mark.parametrize("name", STARTERS)
def test_crypten_seeds_and_starts_nothing(opened, name):
    """Its seeds have 32 bits that count."""
    with opened() as crypten, pytest.raises(InternalError):
        getattr(crypten, name)(1, 2, 3)


@pytest.mark.parametrize("provider", ["TFP", "TTP", "HE"])
def test_no_provider_but_the_dealer_can_be_chosen(opened, provider):
    """Not even by CrypTen's own settings."""
    with opened() as crypten:
        assert isinstance(
            crypten.mpc.get_default_provider(), crypten.mpc.provider.provider.TupleProvider
        )
        assert crypten.mpc.get_default_provider().NAME == "veilsum"

        with (
            crypten.cfg.temp_override({"mpc.provider": provider}),
            pytest.raises(InternalError, match="the dealer"),
        ):
            crypten.mpc.get_default_provider()


def test_the_first_party_makes_no_triples_even_if_it_is_asked(opened):
    """CrypTen's provider, built by hand."""
    with opened() as crypten, pytest.raises(InternalError):
        crypten.mpc.provider.TrustedFirstParty().generate_binary_triple((2,), (2,))


@pytest.mark.parametrize("method", ["generate_additive_triple", "square", "wrap_rng", "B2A_rng"])
def test_what_the_dealer_does_not_deal_is_refused(opened, method):
    """Nothing here multiplies words; an AND of bits is all."""
    with opened() as crypten, pytest.raises(InternalError):
        getattr(crypten.mpc.get_default_provider(), method)((2,))


def test_inputs_are_hidden_with_words_that_both_seats_know(opened):
    """A sharing of zero between two: what one has the other has too."""
    with opened() as crypten:
        tensors = crypten.mpc.primitives.BinarySharedTensor

        one, other = (tensors.PRZS((64,)).share for _ in range(2))

        assert not torch.any(one == other)
        assert not torch.any(one == 0)
