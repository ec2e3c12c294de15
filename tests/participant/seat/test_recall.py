"""A seat that has started hears enough of the others before it signs anything."""

import asyncio
import os

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from participant.joining.found import entry
from participant.seat import recall
from participant.seat.recall import ANSWER, ASK, Asked
from participant.wire.letters import Letter
from privacy.canonical import decode, encode
from privacy.documents import Signed, pack, unpack
from privacy.errors import InvalidSignature, MalformedMessage, WrongContext, WrongIdentity
from privacy.records import Recollection
from privacy.signing import Purpose, sign
from tests.participant.seat.table import FEDERATION, SEATS, TRAINERS, Relay, keys, mailbox, roster

NONCE = "5a" * 32


def told(sender, newest=3, key=None, **changes):
    """One member's answer, as a letter."""
    answer = Recollection(FEDERATION, SEATS[0], NONCE, sender, newest)
    body = encode(replace(answer, **changes))
    signature = sign(keys(key or sender).signing, Purpose.RECOLLECTION, body)
    return Letter(1, sender, ANSWER, pack(Signed(body, {sender: signature})))


def hear(*letters):
    asked = Asked(roster(), SEATS[0], SEATS)
    for letter in letters:
        asked.hear(letter, NONCE)
    return asked


def test_both_seats_and_more_than_two_thirds_of_the_trainers_are_enough():
    asked = hear(*map(told, ("south", "west", *TRAINERS[:3])))

    assert asked.missing() == ()


def test_of_five_trainers_three_are_not_enough():
    """One of them may have signed twice, and say that it has not signed."""
    members = (*roster().members, entry(keys("zinnia"), "zinnia", "zinnia", "", ("trainer",)))
    asked = Asked(replace(roster(), members=members), SEATS[0], SEATS)

    for each in map(told, ("south", "west", *TRAINERS[:3])):
        asked.hear(each, NONCE)

    assert asked.missing() == (TRAINERS[3], "zinnia")


@pytest.mark.parametrize(
    ("heard", "missing"),
    [
        (("south", "west", *TRAINERS[:2]), TRAINERS[2:]),
        (("south", *TRAINERS), ("west",)),
        ((), ("south", "west", *TRAINERS)),
    ],
)
def test_less_is_not_enough_and_who_is_missing_is_named(heard, missing):
    """Two of four trainers may be those that signed nothing."""
    assert hear(*map(told, heard)).missing() == missing


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "5b" * 32},
        {"asker": "west"},
        {"federation": "cardiology"},
        {"signer": "west"},
    ],
)
def test_an_answer_to_another_question_does_not_count(changes):
    """An old answer tells of a time before the rounds that were forgotten."""
    with pytest.raises(WrongContext):
        hear(told("south", **changes))


def test_an_answer_under_another_key_does_not_count():
    with pytest.raises(InvalidSignature):
        hear(told("south", key="west"))


def test_an_answer_of_no_member_does_not_count():
    with pytest.raises(WrongIdentity):
        hear(told("nobody"))


async def all_answering(relay, names, newest):
    """Members that answer, until cancelled."""

    async def member(name):
        async with mailbox(relay, name) as box:
            await recall.serve(box, roster, name, keys(name).signing, lambda: newest.get(name, 0))

    return [asyncio.create_task(member(name)) for name in names]


async def test_the_floor_is_the_newest_round_that_anyone_has_signed_for(monkeypatch):
    monkeypatch.setattr(recall, "ASK_AGAIN_SECONDS", 0.1)
    relay = Relay()
    serving = await all_answering(relay, ("south", "west", *TRAINERS), {"west": 4, "birch": 7})

    async with mailbox(relay, SEATS[0]) as box, asyncio.timeout(5):
        # All of them, so that the one who knows is among those heard.
        found = await recall.floor(box, roster(), SEATS[0], SEATS, os.urandom)

    for each in serving:
        each.cancel()
    assert found >= 4


async def test_a_seat_waits_for_who_is_away_and_says_for_whom_and_when_it_is_done(monkeypatch):
    monkeypatch.setattr(recall, "ASK_AGAIN_SECONDS", 0.1)
    relay = Relay()
    serving = await all_answering(relay, ("south", *TRAINERS), {})

    with capture_logs() as logs:
        async with mailbox(relay, SEATS[0]) as box:
            waiting = asyncio.create_task(recall.floor(box, roster(), SEATS[0], SEATS, os.urandom))
            await asyncio.sleep(0.5)
            assert not waiting.done()
            serving += await all_answering(relay, ("west",), {"west": 9})
            async with asyncio.timeout(5):
                found = await waiting

    for each in serving:
        each.cancel()
    assert found == 9
    assert {"event": "recalling", "log_level": "info", "waits_for": "west"} in logs
    assert logs[-1] == {"event": "recalled", "log_level": "info", "newest": 9}


async def test_who_is_waited_for_is_a_warning_once_a_round_waits_for_this_seat(monkeypatch):
    """Before that it is the course of things; then somebody's process must be started."""
    monkeypatch.setattr(recall, "ASK_AGAIN_SECONDS", 0.05)
    relay, awaited = Relay(), []
    serving = await all_answering(relay, ("south", *TRAINERS), {})

    with capture_logs() as logs:
        async with mailbox(relay, SEATS[0]) as box:
            waiting = asyncio.create_task(
                recall.floor(box, roster(), SEATS[0], SEATS, os.urandom, lambda: bool(awaited))
            )
            await asyncio.sleep(0.3)
            awaited.append("round 1")
            await asyncio.sleep(0.3)
            waiting.cancel()

    for each in serving:
        each.cancel()
    said = [each for each in logs if each["event"] == "recalling"]
    west = [each["log_level"] for each in said if each["waits_for"] == "west"]
    assert west == ["info", "warning"]


async def test_an_answer_is_signed_and_for_the_asker_only():
    relay = Relay()
    letter = Letter(1, "north", ASK, NONCE.encode())

    async with mailbox(relay, "amber") as box:
        await recall.answer(box, letter, roster(), "amber", keys("amber").signing, 6)

    ((sender, recipient, topic, body),) = relay.posted
    assert (sender, recipient, topic) == ("amber", "north", ANSWER)
    assert decode(unpack(body).body, Recollection) == Recollection(
        FEDERATION, "north", NONCE, "amber", 6
    )
    assert hear(Letter(1, "amber", ANSWER, body)).found == {"amber": 6}


@pytest.mark.parametrize("body", [b"", b"5a" * 31, b"\xff" * 64, b"5A" * 32])
async def test_a_question_without_a_nonce_is_not_answered(body):
    """A signature over what an asker chose freely could be read as something else."""
    relay = Relay()

    async with mailbox(relay, "amber") as box:
        with pytest.raises(MalformedMessage):
            await recall.answer(
                box, Letter(1, "north", ASK, body), roster(), "amber", keys("amber").signing, 6
            )

    assert relay.posted == []
