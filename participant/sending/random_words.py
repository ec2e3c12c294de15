"""Random 64-bit words: a fresh key from the operating system, expanded by AES-256 in counter mode.

Not torch's generator, whose CPU seed has 32 bits: who guesses it subtracts the noise.
"""

import os
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from privacy.errors import UnsafeParameters

Entropy: TypeAlias = Callable[[int], bytes]
"""Asked for a number of bytes, returns as many that nobody can guess: `os.urandom`."""

KEY_BYTES = 32


class RandomWords:
    """A stream that no other process has: not another site, another round, or a fork of this one.

    The key is drawn once, is never kept, shown or written, and one counter runs through the
    stream's whole life, so no word is ever given twice.

    Raises:
        UnsafeParameters: the entropy source gave too few bytes.
    """

    def __init__(self, entropy: Entropy) -> None:
        key = entropy(KEY_BYTES)
        if len(key) != KEY_BYTES:
            raise UnsafeParameters(f"the entropy source gave {len(key)} bytes of {KEY_BYTES}")
        # A fixed first counter block is safe because the key serves this stream alone.
        self._cipher = Cipher(AES256(key), CTR(bytes(16))).encryptor()
        self._process = os.getpid()

    def draw(self, count: int) -> NDArray[np.uint64]:
        """Return the next `count` words, uniform over 0 .. 2^64 - 1.

        Raises:
            UnsafeParameters: called in another process than the one that made the stream;
                parent and child would otherwise draw the same noise.
        """
        if os.getpid() != self._process:
            raise UnsafeParameters("a random stream crossed a fork; make one in each process")
        return np.frombuffer(self._cipher.update(bytes(8 * count)), "<u8").astype(np.uint64)
