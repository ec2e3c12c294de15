"""Words for a digest: the same on both sides, and no others for another digest."""

import hashlib

import pytest
from mnemonic import Mnemonic

from privacy.words import REQUEST_WORDS, ROSTER_WORDS, words_of

DIGEST = "00" * 32


def test_words_are_those_of_the_published_list():
    """SHA-256 of the list as BIP-39 publishes it (bips/bip-0039/english.txt)."""
    text = "".join(f"{word}\n" for word in Mnemonic("english").wordlist)

    assert (
        hashlib.sha256(text.encode()).hexdigest()
        == "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
    )


def test_a_digest_has_the_same_words_every_time():
    """Two releases that showed other words could not be compared."""
    eight = "know holiday dignity whisper orchard filter truth foot"

    assert words_of(DIGEST, REQUEST_WORDS) == "know holiday dignity whisper"
    assert words_of(DIGEST, ROSTER_WORDS) == words_of(DIGEST, ROSTER_WORDS) == eight


def test_one_bit_more_is_other_words():
    other = words_of("01" + "00" * 31, ROSTER_WORDS)

    assert set(words_of(DIGEST, ROSTER_WORDS).split()).isdisjoint(other.split())


@pytest.mark.parametrize(("count", "bits"), [(REQUEST_WORDS, 44), (ROSTER_WORDS, 88)])
def test_words_are_the_first_bits_of_scrypt(count, bits):
    """Source: RFC 7914, by OpenSSL; 11 bits a word, the most significant first."""
    stretched = hashlib.scrypt(
        bytes(32), salt=b"veilsum/words/1", n=2**15, r=8, p=1, maxmem=2**26, dklen=16
    )
    first = f"{int.from_bytes(stretched, 'big'):0128b}"[:bits]
    places = [int(first[at : at + 11], 2) for at in range(0, bits, 11)]

    assert words_of(DIGEST, count).split() == [Mnemonic("english").wordlist[at] for at in places]


def test_a_roster_has_twice_the_bits_of_a_request():
    """Whoever composes a roster looks for any two that agree: the root of all there are is tried.

    2^22 derivations of 0.1 s are five days on one core; 2^44 are 55,000 years.
    """
    assert (REQUEST_WORDS, ROSTER_WORDS) == (4, 8)
    assert 2 ** (11 * ROSTER_WORDS // 2) * 0.1 / (365 * 86_400) > 50_000
