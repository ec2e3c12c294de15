"""Four words for a digest: the same on both sides, and no others for another digest."""

import hashlib

from mnemonic import Mnemonic

from privacy.words import words_of

DIGEST = "00" * 32


def test_words_are_those_of_the_published_list():
    """SHA-256 of the list as BIP-39 publishes it (bips/bip-0039/english.txt)."""
    text = "".join(f"{word}\n" for word in Mnemonic("english").wordlist)

    assert (
        hashlib.sha256(text.encode()).hexdigest()
        == "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
    )


def test_a_digest_has_the_same_four_words_every_time():
    """Two releases that showed other words could not be compared."""
    assert words_of(DIGEST) == words_of(DIGEST) == "know holiday dignity whisper"


def test_one_bit_more_is_four_other_words():
    assert set(words_of(DIGEST).split()).isdisjoint(words_of("01" + "00" * 31).split())


def test_words_are_the_first_44_bits_of_scrypt():
    """Source: RFC 7914, by OpenSSL; 11 bits a word, the most significant first."""
    stretched = hashlib.scrypt(
        bytes(32), salt=b"veilsum/words/1", n=2**15, r=8, p=1, maxmem=2**26, dklen=8
    )
    bits = f"{int.from_bytes(stretched, 'big'):064b}"[:44]
    places = [int(bits[at : at + 11], 2) for at in range(0, 44, 11)]

    assert words_of(DIGEST).split() == [Mnemonic("english").wordlist[at] for at in places]
