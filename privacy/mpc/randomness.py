"""Words in place of CrypTen's random numbers: from a key of 256 bits, or none at all.

CrypTen hides its inputs with what a generator of PyTorch gives, which has 32 bits of seed on a
processor. Here whatever CrypTen draws comes from AES-256 in counter mode, under a key that two
seats have for one question. Where it would draw from something else, it is refused: nothing in
a comparison needs a number that only one seat knows.

Shown in `tests/attacks/test_crypten_seeds.py` and `tests/privacy/mpc/test_randomness.py`.
"""

from collections.abc import Iterable
from types import ModuleType
from typing import Any, Final, NoReturn

import numpy as np

from privacy.errors import InternalError
from privacy.schemes.keystream import WordStream

from .foreign import Device, Tensor
from .messages import Shape, Words

# As many words as a keystream gives of one chunk.
_CHUNK_WORDS: Final = 1 << 17
_WORD_BITS: Final = 64


class Draws:
    """Uniform words under one key, one after the other; none is given twice."""

    def __init__(self, key: bytes) -> None:
        self._stream = WordStream(key)
        self._chunk = 0

    def take(self, shape: Shape) -> Words:
        """Return the next words."""
        words = np.empty(int(np.prod(shape, dtype=np.int64)), np.uint64)
        for start in range(0, words.size, _CHUNK_WORDS):
            part = words[start : start + _CHUNK_WORDS]
            self._stream.words(self._chunk, part.shape, part)
            self._chunk += 1
        return words.reshape(shape)


class Generators(dict[str, Any]):
    """What CrypTen finds under the name of its generators: those with the other seat only."""

    def __init__(self, device: Device, previous: Draws, following: Draws) -> None:
        super().__init__(prev={device: previous}, next={device: following})

    def __missing__(self, name: str) -> NoReturn:
        raise InternalError(f"CrypTen asked for its {name!r} generator; nothing draws from it")


class RandomFunctions:
    """CrypTen's two random functions, by the names that CrypTen gives them."""

    def __init__(self, torch: ModuleType) -> None:
        self._torch = torch

    def generate_random_ring_element(
        self,
        size: Iterable[int],
        ring_size: int = 2**_WORD_BITS,
        generator: object = None,
        **_: object,
    ) -> Tensor:
        """Return a tensor of uniform words.

        Raises:
            InternalError: not of a whole word, or not from a key that two seats have.
        """
        if ring_size != 2**_WORD_BITS or not isinstance(generator, Draws):
            raise InternalError("CrypTen asked for a random number that nothing needs")
        return self._torch.from_numpy(generator.take(tuple(size)).view(np.int64))

    def generate_kbit_random_tensor(
        self,
        size: Iterable[int],
        bitlength: int | None = None,
        generator: object = None,
        **_: object,
    ) -> Tensor:
        """Return a tensor of uniform words; of fewer bits than 64 nothing is drawn."""
        bits = _WORD_BITS if bitlength is None else bitlength
        return self.generate_random_ring_element(size, 2**bits, generator)


def refuse(*_: object, **__: object) -> NoReturn:
    """Stand where CrypTen would seed, start or stop itself.

    Raises:
        InternalError: always.
    """
    raise InternalError("CrypTen seeds, starts and stops nothing while seats compute")
