"""A federation that is too large for its messages is refused at the start, with a number."""

import hashlib

import pytest
from msgspec.structs import replace

from coordinator.members import capacity
from coordinator.wire import codec
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import ConfigError
from privacy.records import SealedWords, SeatSum, Wrap
from privacy.roster import Member, Role
from privacy.sealing import CONTENT_KEY_BYTES, SEAL_OVERHEAD
from tests.coordinator.seated_round import SEATS, make_roster
from veilsum.v1 import enrolment_pb2, seat_pb2

MESSAGE = (1 << 20) + (1 << 16)
"""What the server and every client let through."""


def key_of(name, length):
    """Return as many bytes as a key has, another for each name; nobody uses it."""
    return hashlib.shake_256(name.encode()).digest(length)


def member(name):
    return Member(name, name, (Role.TRAINER,), key_of(f"s{name}", 32), key_of(f"k{name}", 1216))


def federation(trainers, digits=4):
    """Return a roster of three seats and that many trainers."""
    seats = [each for each in make_roster().members if each.participant in SEATS]
    members = [*seats, *(member(f"hospital-{at:0{digits}d}") for at in range(trainers))]
    return replace(make_roster(), members=tuple(sorted(members, key=lambda m: m.participant)))


def statement_message(trainers):
    """Return what travels of a seat's statement for that many trainers, as long as it can be."""
    words = SealedWords(component=2, root="f" * 64, ciphertext="f" * 64, length=1 << 50)
    statement = SeatSum(
        federation=make_roster().federation,
        round=100_000,
        plan="f" * 64,
        cohort="f" * 64,
        seat=SEATS[0],
        roster="f" * 64,
        chunks=1 << 50,
        sums=(words, words),
        wraps=tuple(
            Wrap(f"hospital-{at:04d}", bytes([255]) * (CONTENT_KEY_BYTES + SEAL_OVERHEAD))
            for at in range(trainers)
        ),
    )
    signed = Signed(canonical.encode(statement), {SEATS[0]: bytes(64)})
    return seat_pb2.GetSeatSumsResponse(statement=codec.signed_to_wire(signed))


def most(check, low, high):
    """Return the largest number of trainers that `check` takes, by halving."""
    while high - low > 1:
        middle = (low + high) // 2
        try:
            check(federation(middle))
            low = middle
        except ConfigError:
            high = middle
    return low


def test_a_statement_for_as_many_trainers_as_are_taken_has_room_in_a_message():
    """At the limit and not far below it: one more is refused."""
    fit = most(lambda roster: capacity.check_trainers(SEATS, roster), 1, 2_000)

    message = statement_message(fit)

    assert fit > 600
    assert message.ByteSize() <= MESSAGE
    assert len(message.statement.body) <= capacity.LARGEST
    assert len(statement_message(fit + 1).statement.body) > capacity.LARGEST


def test_the_refusal_says_how_many_trainers_have_room():
    fit = most(lambda roster: capacity.check_trainers(SEATS, roster), 1, 2_000)

    with pytest.raises(
        ConfigError, match=r"1000 trainers: .* about (\d+) trainers have"
    ) as refused:
        capacity.check_trainers(SEATS, federation(1000))

    said = int(str(refused.value).split("about ")[1].split()[0])
    assert abs(said - fit) <= 1


def test_a_roster_of_as_many_members_as_are_taken_has_room_in_a_message():
    """Nobody joins without it; it is larger than a statement, and bounds every scheme."""
    fit = most(capacity.check_members, 1, 2_000)
    roster = federation(fit)

    signatures = {each.participant: bytes(64) for each in roster.members}
    document = codec.signed_to_wire(Signed(canonical.encode(roster), signatures))
    message = enrolment_pb2.GetRosterResponse(versions=[document])

    assert fit > 450
    assert message.ByteSize() <= MESSAGE
    with pytest.raises(ConfigError, match=r"about \d+ members have"):
        capacity.check_members(federation(fit + 1))
