"""A frame opens once, at its place, for whom it was made; a lost one ends the session."""

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from participant.seat import frames
from participant.seat.frames import LARGEST_FRAME, Joining, Kind, Opening, Sealing, cut
from participant.seat.handshake import BrokenOff
from privacy.errors import MalformedMessage

KEY = bytes(range(32))


def test_frames_open_in_their_order():
    sealing, opening = Sealing(KEY), Opening(KEY)

    opened = [opening.open(sealing.seal(Kind.LAST, bytes([at]))) for at in range(3)]

    assert opened == [(Kind.LAST, bytes([at])) for at in range(3)]


def test_a_frame_that_comes_again_is_left_out():
    sealing, opening = Sealing(KEY), Opening(KEY)
    frame = sealing.seal(Kind.LAST, b"word")
    opening.open(frame)

    assert opening.open(frame) is None


def test_a_frame_that_comes_too_early_ends_the_session():
    """What is between is lost; what comes later means nothing without it."""
    sealing, opening = Sealing(KEY), Opening(KEY)
    sealing.seal(Kind.LAST, b"lost")

    with pytest.raises(BrokenOff, match=r"frames 0\.\.0 were lost"):
        opening.open(sealing.seal(Kind.ALIVE))


@pytest.mark.parametrize("at", [0, 7, 8, 12, -1])
def test_a_changed_frame_does_not_open(at):
    frame = bytearray(Sealing(KEY).seal(Kind.LAST, b"word"))
    frame[at] ^= 1

    with pytest.raises(MalformedMessage, match="does not open"):
        Opening(KEY).open(bytes(frame))


@pytest.mark.parametrize("frame", [b"", b"short", bytes(8), bytes(40)])
def test_what_is_no_frame_does_not_open(frame):
    with pytest.raises(MalformedMessage, match="does not open"):
        Opening(KEY).open(frame)


def test_a_frame_under_another_key_does_not_open():
    """Of another direction, pair or session."""
    with pytest.raises(MalformedMessage, match="does not open"):
        Opening(KEY).open(Sealing(bytes(32)).seal(Kind.LAST))


@pytest.mark.parametrize("plain", [b"", b"\x09word"])
def test_a_frame_of_no_known_kind_is_refused(plain):
    frame = bytes(8) + AESGCM(KEY).encrypt(bytes(12), plain, bytes(8))

    with pytest.raises(MalformedMessage, match="a kind that no seat knows"):
        Opening(KEY).open(frame)


@pytest.mark.parametrize("length", [0, 1, (1 << 20) - 25, (1 << 20) - 24, 3 << 20])
def test_a_message_of_any_length_is_cut_and_joined(length):
    """At the edges of a frame, too; no letter is longer than 1 MiB."""
    message, sealing, opening, joining = os.urandom(length), Sealing(KEY), Opening(KEY), Joining()
    sealed = [sealing.seal(kind, body) for kind, body in cut(message)]

    joined = [joining.take(*opening.open(frame)) for frame in sealed]

    assert max(map(len, sealed)) <= LARGEST_FRAME
    assert joined == [*[None] * (len(sealed) - 1), message]


def test_a_message_without_an_end_is_refused(monkeypatch):
    """A seat must not fill another's memory."""
    monkeypatch.setattr(frames, "LONGEST_MESSAGE", 100)
    joining = Joining()
    joining.take(Kind.PART, bytes(60))

    with pytest.raises(MalformedMessage, match="more than 100 bytes"):
        joining.take(Kind.PART, bytes(60))
