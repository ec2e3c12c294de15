"""Digests that are announced are those of the signed document, all of them, or nothing counts."""

import hashlib

import pytest

from coordinator.announced import MOST_ANNOUNCED, Announced
from privacy.errors import MalformedMessage

CHUNKS = [b"one", b"two", b"three", b"four"]
DIGESTS = [hashlib.sha256(chunk).digest() for chunk in CHUNKS]
FIRST, SECOND = (hashlib.sha256(b"".join(DIGESTS[at : at + 2])).hexdigest() for at in (0, 2))


def announced():
    return Announced("seat-1", (FIRST, SECOND), 2)


def test_digests_come_in_as_many_messages_as_they_need():
    """Each chunk of each stream is then known by its own."""
    of = announced()

    whole = [of.add(DIGESTS[0]), of.add(DIGESTS[1] + DIGESTS[2]), of.add(DIGESTS[3])]

    assert whole == [False, False, True]
    assert [of.of(stream, chunk) for stream in range(2) for chunk in range(2)] == DIGESTS


@pytest.mark.parametrize(
    "digests",
    [
        b"",
        b"short",
        b"".join(DIGESTS) + bytes(32),
        b"".join(reversed(DIGESTS)),
        b"".join(DIGESTS[:3]) + bytes(32),
        b"".join(DIGESTS)[:-1],
    ],
)
def test_other_digests_are_refused_and_not_kept(digests):
    """Nor is anything that came with them."""
    of = announced()

    with pytest.raises(MalformedMessage):
        of.add(digests)

    assert not of.has_begun()
    assert of.add(b"".join(DIGESTS))


def test_no_chunk_is_taken_before_the_last_digest():
    of = announced()
    of.add(DIGESTS[0])

    with pytest.raises(MalformedMessage, match="before the last of the digests"):
        of.of(0, 0)


def test_who_announces_nothing_is_held_to_nothing():
    """A sender of before."""
    assert announced().of(1, 1) is None


def test_what_is_held_of_one_upload_is_bounded():
    """An envelope may name a chunk for each value; so many digests are not held."""
    of = Announced("amber", (FIRST,), MOST_ANNOUNCED + 1)

    assert not of.is_taken()
    with pytest.raises(MalformedMessage):
        of.add(bytes(32))
