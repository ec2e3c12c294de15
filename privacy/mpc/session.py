"""CrypTen with our messages, words and triples in place of its own, for one question.

CrypTen keeps one communicator, one set of generators and one table of providers for a whole
process. So a process has one session at a time, and when it ends CrypTen is as it was, which is
to say that it refuses to compute.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from types import ModuleType
from typing import Final

import numpy as np

from privacy.crypten_door import import_crypten
from privacy.errors import NotYet
from privacy.schemes.keystream import Use

from .communicator import TwoSeats
from .foreign import CrypTen, Shared
from .greeting import Pair
from .messages import Words
from .randomness import Generators, RandomFunctions, refuse
from .triples import Providers, TripleProvider, Triples

_ONE_AT_A_TIME: Final = Lock()
_RANDOM: Final = ("generate_random_ring_element", "generate_kbit_random_tensor")
_STARTERS: Final = ("init", "init_thread", "uninit", "manual_seed", "_setup_prng", "_sync_seeds")
_PROVIDERS: Final = "__SUPPORTED_PROVIDERS"


@contextmanager
def reserved() -> Iterator["Reserved"]:
    """Keep CrypTen in this process for one question, before anything of it is sent.

    Raises:
        NotYet: this process is computing already.
        MissingDependency: CrypTen, or what it needs to load, is not installed.
    """
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise NotYet("this process already computes in CrypTen, which takes one at a time")
    try:
        yield Reserved(import_crypten())
    finally:
        _ONE_AT_A_TIME.release()


class Reserved:
    """CrypTen, loaded and kept for one question."""

    def __init__(self, crypten: ModuleType) -> None:
        self._crypten = crypten

    @contextmanager
    def session(self, seat: int, pair: Pair, triples: Triples) -> Iterator[ModuleType]:
        """Yield CrypTen, ready to compute with the other seat.

        Args:
            seat: 0 or 1, this one.
            pair: what it has with the other one of the two.
            triples: what it draws for each AND.
        """
        with ExitStack() as stack:
            _install(stack, self._crypten, seat, pair, triples)
            yield self._crypten


def _install(
    stack: ExitStack, crypten: ModuleType, seat: int, pair: Pair, triples: Triples
) -> None:
    _put(stack, crypten.communicator, "DistributedCommunicator", _communicator(crypten, seat, pair))
    _put(stack, crypten, "generators", _generators(crypten, seat, pair))
    for name in _STARTERS:
        _put(stack, crypten, name, refuse)
    _put_random_functions(stack, crypten)
    provider = _provider(crypten, triples)
    _put(stack, crypten.mpc, _PROVIDERS, Providers({provider.NAME: provider}))
    settings = {"mpc.provider": provider.NAME, "mpc.protocol": "beaver"}
    stack.enter_context(crypten.cfg.temp_override(settings))


def _put(stack: ExitStack, module: CrypTen, name: str, value: object) -> None:
    stack.callback(setattr, module, name, getattr(module, name))
    setattr(module, name, value)


def _put_random_functions(stack: ExitStack, crypten: ModuleType) -> None:
    """Replace them wherever a module of CrypTen has them under their name."""
    ours = RandomFunctions(crypten.torch)
    modules = [module for name, module in sys.modules.items() if name.startswith("crypten.")]
    for name in _RANDOM:
        theirs = getattr(crypten.common.rng, name)
        for module in modules:
            if vars(module).get(name) is theirs:
                _put(stack, module, name, getattr(ours, name))


def _communicator(crypten: ModuleType, seat: int, pair: Pair) -> type:
    kind = type("SeatCommunicator", (TwoSeats, crypten.communicator.Communicator), {})
    kind.instance = kind(crypten.torch, pair.channel, seat)  # type: ignore[attr-defined]
    return kind


def _generators(crypten: ModuleType, seat: int, pair: Pair) -> Generators:
    """Two streams that both seats know; what one has before it the other has after it."""
    streams = [pair.draws(Use.MPC_RING, bytes([after])) for after in range(2)]
    return Generators(crypten.torch.device("cpu"), streams[1 - seat], streams[seat])


def _provider(crypten: ModuleType, triples: Triples) -> CrypTen:
    base = crypten.mpc.provider.provider.TupleProvider
    kind = type("DealtTriples", (TripleProvider, base), {})
    torch, tensors = crypten.torch, crypten.mpc.primitives.BinarySharedTensor

    def shared(words: Words) -> Shared:
        return tensors.from_shares(torch.from_numpy(words.view(np.int64)), precision=0)

    return kind(triples, shared)
