"""Words that two people can compare by telephone, in the place of a digest.

Words are from the English list of BIP-39: 2,048, of which no two share their first four letters.
They are derived slowly, so that trying is dear. How many there have to be depends on who makes
what is compared:

- four, 44 bits, for a request: a part of it is drawn by the member, who alone holds the key that
  signs it. Who wants another request with the words of this one tries 2^44 times.
- eight, 88 bits, for a roster: whoever composes it may look for two with the same words, and
  show one to some and the other to others. That takes about 2^44 tries of each, and not 2^22.
"""

import hashlib
from functools import cache
from typing import Final

from mnemonic import Mnemonic

from .identifiers import Digest

REQUEST_WORDS: Final = 4
ROSTER_WORDS: Final = 8

_BITS: Final = 11
_SALT: Final = b"veilsum/words/1"
_COST: Final = 1 << 15
_BLOCK: Final = 8
_MEMORY: Final = 2 * 128 * _COST * _BLOCK
_DRAWN_BYTES: Final = 32


def words_of(digest: Digest, count: int) -> str:
    """Return `count` words of a digest, with spaces between; takes about 0.1 s and 32 MiB.

    Source: RFC 7914 (scrypt, N = 2^15, r = 8, p = 1); BIP-39 (the list).
    """
    assert count in (REQUEST_WORDS, ROSTER_WORDS)  # each is reasoned about, and no other
    found = hashlib.scrypt(
        bytes.fromhex(digest),
        salt=_SALT,
        n=_COST,
        r=_BLOCK,
        p=1,
        maxmem=_MEMORY,
        dklen=_DRAWN_BYTES,
    )
    number, bits = int.from_bytes(found, "big"), 8 * _DRAWN_BYTES
    places = (number >> (bits - _BITS * (each + 1)) & (len(_list()) - 1) for each in range(count))
    return " ".join(_list()[place] for place in places)


@cache
def _list() -> tuple[str, ...]:
    found = tuple(Mnemonic("english").wordlist)
    assert len(found) == 1 << _BITS  # another list would show other words on the two sides
    return found
