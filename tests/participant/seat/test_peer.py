"""Two seats have one secret for one session, which the lower drew and only the other can open."""

import os

import pytest

from participant.seat.frames import Kind
from participant.seat.handshake import Meeting
from participant.seat.peer import Peer
from participant.wire.letters import Mailbox
from participant.wire.patience import Patience
from privacy.documents import Signed, pack, unpack
from privacy.errors import InvalidSignature, MalformedMessage
from privacy.signing import Purpose, sign
from tests.participant.seat.table import FEDERATION, MEETING, SEATS, Desk, keys, party, roster

SESSION, ANOTHER = b"s" * 32, b"t" * 32


def peer(own, other, session=SESSION, meeting=MEETING):
    """What seat `own` has with seat `other`."""
    box = Mailbox(Desk(None, SEATS[own]), Patience(os.urandom))
    made = Peer(party(box, SEATS[own]), meeting, other, roster().member(SEATS[other]))
    made.begin(session)
    return made


def test_both_have_the_same_secret_and_each_direction_its_own_key():
    lower, upper = peer(0, 1), peer(1, 0)

    upper.take_secret(lower.offer())

    assert lower.pair_secret == upper.pair_secret
    assert upper.take_frame(lower.seal(Kind.LAST, b"down")) == b"down"
    assert lower.take_frame(upper.seal(Kind.LAST, b"up")) == b"up"
    assert lower.seal(Kind.LAST, b"word")[8:] != upper.seal(Kind.LAST, b"word")[8:]


def test_every_session_has_another_secret():
    """Even one of the same name: the secret is drawn, not derived from what others may know."""
    assert peer(0, 1).pair_secret != peer(0, 1).pair_secret


def test_only_the_lower_seat_makes_a_secret():
    assert peer(0, 1).keyed
    assert not peer(1, 0).keyed
    assert peer(1, 0).offer() is None


def test_a_secret_is_offered_until_a_frame_shows_that_it_came():
    lower, upper = peer(0, 1), peer(1, 0)
    first = lower.offer()
    upper.take_secret(first)

    assert lower.offer() == first
    lower.take_frame(upper.seal(Kind.ALIVE))
    assert lower.offer() is None


def test_the_first_secret_counts():
    """A second one would give the same numbers another key, or the first frames none."""
    lower, upper = peer(0, 1), peer(1, 0)
    upper.take_secret(lower.offer())
    before = upper.pair_secret

    upper.take_secret(peer(0, 1).offer())

    assert upper.pair_secret == before


def test_a_secret_under_another_key_is_refused():
    """Anyone can seal for a seat; the coordinator, too."""
    signed = unpack(peer(0, 1).offer())
    forged = sign(keys("west").signing, Purpose.SEAT_CHANNEL, signed.body)

    with pytest.raises(InvalidSignature):
        peer(1, 0).take_secret(pack(Signed(signed.body, {"north": forged})))


def test_a_secret_of_another_session_is_refused():
    """One that was played again would make old keys new."""
    with pytest.raises(MalformedMessage, match="not for this session"):
        peer(1, 0).take_secret(peer(0, 1, ANOTHER).offer())


def test_a_secret_for_another_seat_is_refused():
    with pytest.raises(MalformedMessage, match="not for this session and seat"):
        peer(1, 0).take_secret(peer(0, 2).offer())


def test_a_secret_of_another_meeting_does_not_open():
    other = Meeting(FEDERATION, 3, "scores", "ab" * 32, SEATS)

    with pytest.raises(MalformedMessage, match="does not open"):
        peer(1, 0).take_secret(peer(0, 1, meeting=other).offer())


def test_a_frame_sent_back_is_not_the_others():
    lower, upper = peer(0, 1), peer(1, 0)
    upper.take_secret(lower.offer())

    with pytest.raises(MalformedMessage, match="does not open"):
        lower.take_frame(lower.seal(Kind.LAST, b"word"))
