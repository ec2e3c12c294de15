"""Four words that two people can compare by telephone, in the place of a digest.

Words are from the English list of BIP-39: 2,048, of which no two share their first four letters.
Four of them are 44 bits. They are derived slowly, so that who wants other bytes with the same
words tries 2^44 times what one telephone call takes once.
"""

import hashlib
from functools import cache
from typing import Final

from mnemonic import Mnemonic

from .identifiers import Digest

COUNT: Final = 4

_BITS: Final = 11
_SALT: Final = b"veilsum/words/1"
_COST: Final = 1 << 15
_BLOCK: Final = 8
_MEMORY: Final = 2 * 128 * _COST * _BLOCK


def words_of(digest: Digest) -> str:
    """Return the four words of a digest, with spaces between them; takes about 0.1 s and 32 MiB.

    Source: RFC 7914 (scrypt, N = 2^15, r = 8, p = 1); BIP-39 (the list).
    """
    found = hashlib.scrypt(
        bytes.fromhex(digest), salt=_SALT, n=_COST, r=_BLOCK, p=1, maxmem=_MEMORY, dklen=8
    )
    number = int.from_bytes(found, "big")
    places = (number >> (64 - _BITS * (each + 1)) & (len(_list()) - 1) for each in range(COUNT))
    return " ".join(_list()[place] for place in places)


@cache
def _list() -> tuple[str, ...]:
    found = tuple(Mnemonic("english").wordlist)
    assert len(found) == 1 << _BITS  # another list would show other words on the two sides
    return found
