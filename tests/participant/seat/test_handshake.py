"""Seats agree on one session, each with a nonce that is fresh, whoever starts again and when."""

import itertools

import pytest

from participant.seat.handshake import BrokenOff, Handshake, Meeting, check_hello
from privacy.documents import Signed, pack, unpack
from privacy.errors import InvalidSignature, MalformedMessage, UnsafeParameters, WrongContext
from tests.participant.seat.table import FEDERATION, MEETING, SEATS, keys, roster

NONCES = ["a1" * 32, "b1" * 32, "c1" * 32]


def three(nonces=NONCES):
    return [Handshake(MEETING, seat, nonce) for seat, nonce in enumerate(nonces)]


def said(handshake, seat):
    packed = handshake.hello(keys(SEATS[seat]).signing)
    return check_hello(MEETING, seat, roster().member(SEATS[seat]), packed)


def tell(handshakes, sender, *receivers):
    hello = said(handshakes[sender], sender)
    for receiver in receivers:
        handshakes[receiver].hear(sender, hello)


def tell_all(handshakes, times=3):
    for _ in range(times):
        for sender in range(3):
            tell(handshakes, sender, *(at for at in range(3) if at != sender))


def test_three_seats_that_hear_each_other_agree_on_one_session():
    handshakes = three()

    tell_all(handshakes)

    assert all(each.agreed for each in handshakes)
    assert len({each.session() for each in handshakes}) == 1


def test_nothing_is_agreed_before_all_three_have_named_the_same_nonces():
    """Keys for a session that another has not named would be spent for nothing."""
    handshakes = three()

    tell(handshakes, 1, 0)
    tell(handshakes, 2, 0)

    assert handshakes[0].nonces == tuple(NONCES)
    assert not handshakes[0].agreed


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_seat_that_starts_again_is_followed_without_a_chase(order):
    """Others draw a nonce once; in whatever order they hear, the same three stand in the end."""
    handshakes = three()
    tell_all(handshakes)
    old = handshakes[0].session()
    for each in handshakes:
        each.spend()
    handshakes[2] = Handshake(MEETING, 2, "c2" * 32)
    begun = [0, 0, 0]

    for _, sender in itertools.product(range(5), order):
        for receiver in range(3):
            if receiver == sender:
                continue
            try:
                tell(handshakes, sender, receiver)
            except BrokenOff:
                begun[receiver] += 1
                nonce = f"{'abc'[receiver]}{begun[receiver] + 1}" * 32
                handshakes[receiver] = Handshake(
                    MEETING, receiver, nonce, handshakes[receiver].nonces
                )

    assert begun == [1, 1, 0]
    assert all(each.agreed for each in handshakes)
    assert handshakes[0].session() != old


def test_a_seat_that_has_made_no_keys_keeps_its_nonce():
    """Only what is spent is drawn anew; else seats would run after each other."""
    handshakes = three()
    tell_all(handshakes)

    handshakes[2] = Handshake(MEETING, 2, "c2" * 32)
    tell_all(handshakes)

    assert handshakes[0].nonces == (NONCES[0], NONCES[1], "c2" * 32)
    assert all(each.agreed for each in handshakes)


def test_an_old_hello_leads_to_no_session_that_has_been():
    """The name of a session has this seat's own nonce in it, and that is new."""
    handshakes = three()
    tell_all(handshakes)
    old, hellos = handshakes[0].session(), [said(handshakes[seat], seat) for seat in (1, 2)]
    again = Handshake(MEETING, 0, "a2" * 32)

    for seat, hello in zip((1, 2), hellos, strict=True):
        again.hear(seat, hello)

    assert not again.agreed
    assert again.session() != old


@pytest.mark.parametrize(
    "meeting",
    [
        Meeting(FEDERATION, 4, "norms", "ab" * 32, SEATS),
        Meeting(FEDERATION, 3, "scores", "ab" * 32, SEATS),
        Meeting("cardiology", 3, "norms", "ab" * 32, SEATS),
    ],
)
def test_a_hello_to_another_meeting_is_refused(meeting):
    packed = Handshake(meeting, 1, NONCES[1]).hello(keys("south").signing)

    with pytest.raises(MalformedMessage, match="another meeting"):
        check_hello(MEETING, 1, roster().member("south"), packed)


def test_a_hello_about_other_candidates_says_that_two_lists_were_signed():
    other = Meeting(FEDERATION, 3, "norms", "cd" * 32, SEATS)
    packed = Handshake(other, 1, NONCES[1]).hello(keys("south").signing)

    with pytest.raises(WrongContext, match="the coordinator has signed two"):
        check_hello(MEETING, 1, roster().member("south"), packed)


def test_a_hello_of_another_seat_is_refused():
    packed = Handshake(MEETING, 2, NONCES[2]).hello(keys("west").signing)

    with pytest.raises(InvalidSignature):
        check_hello(MEETING, 1, roster().member("south"), packed)


def test_a_changed_hello_is_refused():
    signed = unpack(Handshake(MEETING, 1, NONCES[1]).hello(keys("south").signing))
    changed = pack(Signed(signed.body.replace(b"b1b1", b"b1b2", 1), signed.signatures))

    with pytest.raises(InvalidSignature):
        check_hello(MEETING, 1, roster().member("south"), changed)


def test_a_hello_without_a_nonce_of_its_own_is_refused():
    packed = Handshake(MEETING, 1, "").hello(keys("south").signing)

    with pytest.raises(MalformedMessage, match="without a nonce"):
        check_hello(MEETING, 1, roster().member("south"), packed)


@pytest.mark.parametrize("seats", [SEATS[:2], ("north", "north", "west"), (*SEATS, "east")])
def test_three_different_seats_meet(seats):
    """Two seats in one hand have all three components."""
    with pytest.raises(UnsafeParameters, match="3 seats meet"):
        Meeting(FEDERATION, 3, "norms", "ab" * 32, seats)
