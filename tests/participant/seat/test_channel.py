"""What three seats say to each other arrives whole, once, and from whom it says; or they know."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from participant.seat.channel import knock, say_alive, together
from privacy.errors import MalformedMessage, PeerUnreachable, WrongContext
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.replicated import zero_shares
from tests.participant.seat.table import (
    MEETING,
    SEATS,
    Relay,
    as_they_are,
    mailbox,
    party,
    three_parties,
)

pytestmark = pytest.mark.usefixtures("lively")
SILENCE = 10.0


def greet_all(session):
    """Send each other seat a word, and return what they sent, with the session's name."""
    others = [seat for seat in range(3) if seat != session.seat]
    for other in others:
        session.link.send(other, f"{session.seat} to {other}".encode())
    return session.name, {other: session.link.receive(other) for other in others}


async def all_of(parties, work, meeting=MEETING, silence=SILENCE):
    meetings = (together(each, meeting, silence, work) for each in parties)
    async with asyncio.timeout(10):
        return await asyncio.gather(*meetings)


async def test_what_a_seat_sends_arrives_at_the_seat_it_is_for():
    async with three_parties(Relay()) as parties:
        results = await all_of(parties, greet_all)

    assert len({name for name, _ in results}) == 1
    for seat, (_, heard) in enumerate(results):
        assert heard == {
            other: f"{other} to {seat}".encode() for other in range(3) if other != seat
        }


async def test_the_relay_reads_nothing_of_what_seats_send():
    """The coordinator carries every letter and must not see what is in it."""
    relay = Relay()

    def work(session):
        session.link.send((session.seat + 1) % 3, b"a secret word" * 10)
        return session.link.receive((session.seat + 2) % 3)

    async with three_parties(relay) as parties:
        await all_of(parties, work)

    assert not any(b"a secret word" in body for *_, body in relay.posted)


async def test_long_messages_are_cut_and_joined():
    """No letter is longer than 1 MiB; triples of many sites are."""
    long = bytes(range(256)) * (5 << 10) * 2

    def work(session):
        session.link.send((session.seat + 1) % 3, long + bytes([session.seat]))
        return session.link.receive((session.seat + 2) % 3)

    async with three_parties(Relay()) as parties:
        results = await all_of(parties, work)

    assert results == [long + bytes([(seat + 2) % 3]) for seat in range(3)]


async def test_shares_of_zero_add_up_to_zero_and_differ_in_each_session():
    """Two masks under one secret would show the difference of what they hide."""

    def work(session):
        return zero_shares(session.pairs, UpdateContext("oncology", 3, "amber"), "q", 5)

    async with three_parties(Relay()) as parties:
        first, again = await all_of(parties, work), await all_of(parties, work)

    assert not sum(first).any()
    assert not sum(again).any()
    assert all((one != other).all() for one, other in zip(first, again, strict=True))


async def test_an_error_of_the_work_is_the_seats_own():
    def work(session):
        if session.seat == 1:
            raise MalformedMessage("not what comes next")
        return session.link.receive(1)

    async with three_parties(Relay()) as parties:
        meetings = (together(each, MEETING, 0.5, work) for each in parties)
        results = await asyncio.gather(*meetings, return_exceptions=True)

    assert [type(each) for each in results] == [PeerUnreachable, MalformedMessage, PeerUnreachable]
    assert "south" in str(results[0])


async def test_a_seat_that_never_came_is_named():
    async with three_parties(Relay()) as parties:
        with pytest.raises(PeerUnreachable, match=r"seat west has said nothing for 0\.4 seconds"):
            await all_of(parties[:2], greet_all, silence=0.4)


async def test_a_seat_that_falls_silent_in_a_session_is_named():
    relay = Relay()
    silent = []

    def carry(sender, recipient, topic, body):
        return [] if sender in silent else [body]

    def work(session):
        silent.append("west")
        return session.link.receive(2 if session.seat < 2 else 0)

    relay.carry = carry
    async with three_parties(relay) as parties:
        meetings = (together(each, MEETING, 0.5, work) for each in parties[:2])
        third = asyncio.create_task(together(parties[2], MEETING, 60, work))
        results = await asyncio.gather(*meetings, return_exceptions=True)
        third.cancel()

    assert all(isinstance(each, PeerUnreachable) and "west" in str(each) for each in results)


async def test_a_seat_that_works_is_waited_for():
    """A seat may take minutes before it sends a word; it lives, and says so."""

    def work(session):
        if session.seat == 2:
            for _ in range(12):
                asyncio.run(asyncio.sleep(0.1))
        return greet_all(session)

    async with three_parties(Relay()) as parties:
        results = await all_of(parties, work, silence=0.5)

    assert len({name for name, _ in results}) == 1


async def test_a_seat_that_is_not_there_yet_but_lives_is_waited_for():
    """It may still fetch what it is asked about."""
    async with three_parties(Relay()) as parties:
        alive = asyncio.create_task(say_alive(parties[2].mailbox, SEATS[:2]))
        first = [
            asyncio.create_task(together(each, MEETING, 1.6, greet_all)) for each in parties[:2]
        ]
        await asyncio.sleep(2)
        results = [await together(parties[2], MEETING, 1.6, greet_all), *[await t for t in first]]
        alive.cancel()

    assert len({name for name, _ in results}) == 1


async def test_who_has_no_connection_blames_nobody():
    """Its own network is down; the others are not silent because of that."""
    relay = Relay()
    async with three_parties(relay) as parties:
        meetings = [
            asyncio.create_task(together(each, MEETING, 0.6, greet_all)) for each in parties[:2]
        ]
        await asyncio.sleep(0.3)
        relay.down = True
        await asyncio.sleep(1.5)
        assert not any(each.done() for each in meetings)
        relay.down = False
        results = [
            await together(parties[2], MEETING, SILENCE, greet_all),
            *[await each for each in meetings],
        ]

    assert len({name for name, _ in results}) == 1


async def test_a_frame_that_was_changed_is_refused_and_seats_begin_again():
    relay, flipped = Relay(), []

    def carry(sender, recipient, topic, body):
        if "/frame/" in topic and sender == "north" and len(body) > 30 and not flipped:
            flipped.append(topic)
            return [body[:-1] + bytes([body[-1] ^ 1])]
        return [body]

    relay.carry = carry
    async with three_parties(relay) as parties:
        with capture_logs() as logs:
            results = await all_of(parties, greet_all)

    assert len({name for name, _ in results}) == 1
    assert flipped
    events = [each["event"] for each in logs]
    assert "letter_refused" in events
    assert "seats_begin_again" in events


async def test_letters_that_come_twice_count_once():
    """A retry of a post whose answer was lost puts the same letter in twice."""
    async with three_parties(Relay(lambda *letter: [letter[3], letter[3]])) as parties:
        with capture_logs() as logs:
            results = await all_of(parties, greet_all)

    assert len({name for name, _ in results}) == 1
    assert "seats_begin_again" not in [each["event"] for each in logs]


async def test_frames_in_another_order_are_not_taken():
    """Two frames change places: the second must not be read as the first."""
    relay, held = Relay(), []

    def carry(sender, recipient, topic, body):
        if "/frame/" in topic and (sender, recipient) == ("north", "south") and len(body) > 40:
            if not held:
                held.append(body)
                return []
            if len(held) == 1:
                held.append(body)
                return [body, held[0]]
        return [body]

    def work(session):
        if session.seat == 0:
            session.link.send(1, b"first" * 9)
            session.link.send(1, b"second" * 9)
        if session.seat == 1:
            return session.link.receive(0), session.link.receive(0)
        return None

    relay.carry = carry
    async with three_parties(relay) as parties:
        _, received, _ = await all_of(parties, work)

    assert len(held) == 2
    assert received == (b"first" * 9, b"second" * 9)


async def test_a_frame_of_another_pair_does_not_open():
    """The relay may hand a seat what is for another."""
    relay, foreign = Relay(), []

    def carry(sender, recipient, topic, body):
        if "/frame/" in topic and (sender, recipient) == ("north", "west") and len(foreign) < 3:
            foreign.append(body)
        if "/frame/" in topic and (sender, recipient) == ("north", "south") and foreign:
            return [foreign[0], body]
        return [body]

    relay.carry = carry
    async with three_parties(relay) as parties:
        with capture_logs() as logs:
            results = await all_of(parties, greet_all)

    assert len({name for name, _ in results}) == 1
    assert any("does not open" in each.get("reason", "") for each in logs)


async def test_a_coordinator_that_starts_again_costs_one_session_at_most():
    relay = Relay()
    sessions = []

    def work(session):
        sessions.append(session.name)
        if len(set(sessions)) == 1:
            relay.start_again()
        return greet_all(session)

    async with three_parties(relay) as parties:
        results = await all_of(parties, work)

    assert len({name for name, _ in results}) == 1


async def test_a_seat_that_starts_again_meets_the_others_in_a_new_session():
    """Its old keys are gone; nothing may ever be sealed under them again."""
    relay, names = Relay(), []

    def stuck(session):
        names.append(session.name)
        return session.link.receive(0)

    def work(session):
        names.append(session.name)
        return greet_all(session)

    async with mailbox(relay, SEATS[0]) as north, mailbox(relay, SEATS[1]) as south:
        parties = party(north, SEATS[0]), party(south, SEATS[1])
        others = [asyncio.create_task(together(each, MEETING, SILENCE, work)) for each in parties]
        async with mailbox(relay, SEATS[2]) as box:
            killed = asyncio.create_task(together(party(box, SEATS[2]), MEETING, SILENCE, stuck))
            while len(names) < 3:
                await asyncio.sleep(0.01)
            killed.cancel()
            await asyncio.wait([killed])
        async with mailbox(relay, SEATS[2]) as box, asyncio.timeout(10):
            third = await together(party(box, SEATS[2]), MEETING, SILENCE, work)
            results = [third, *[await each for each in others]]

    assert len({name for name, _ in results}) == 1
    assert results[0][0] != names[0]


async def test_no_frame_is_sealed_twice_under_one_key_and_number():
    """The same nonce under one key would open both frames."""
    relay, seen = Relay(), {}

    def work(session):
        if len(relay.posted) < 60:
            relay.start_again()
        return greet_all(session)

    async with three_parties(relay) as parties:
        await all_of(parties, work)

    for sender, recipient, topic, body in relay.posted:
        if "/frame/" in topic:
            place = sender, recipient, topic, body[:8]
            assert seen.setdefault(place, body) == body


async def test_a_seat_that_hears_last_that_all_agree_loses_nothing():
    """Others may have their keys, and write, before it has heard the third hello."""
    relay, held = Relay(), []

    def carry(sender, recipient, topic, body):
        to_west = (sender, recipient) == ("north", "west") and topic.endswith("/hello")
        if to_west and b'""' not in body:  # north has heard all nonces, and says so
            held.append(body)
            return []
        return [body]

    relay.carry = carry
    async with three_parties(relay) as parties:
        with capture_logs() as logs:
            meeting = asyncio.create_task(all_of(parties, greet_all))
            await asyncio.sleep(0.3)
            relay.carry = as_they_are
            results = await meeting

    assert held
    assert len({name for name, _ in results}) == 1
    assert "seats_begin_again" not in [each["event"] for each in logs]


async def test_old_letters_played_again_lead_to_no_old_session():
    """Whoever carries letters has all of them, and may hand them out again."""
    relay = Relay()
    async with three_parties(relay) as parties:
        first = await all_of(parties, greet_all)
        for letter in list(relay.posted):
            await relay.post(*letter)
        again = await all_of(parties, greet_all)

    assert len({name for name, _ in again}) == 1
    assert first[0][0] != again[0][0]


async def test_a_hello_under_another_key_is_none():
    """A coordinator that speaks in a seat's name is not heard."""
    async with three_parties(Relay()) as parties:
        impostor = replace(parties[2], signing_key=parties[0].signing_key)
        meeting = asyncio.create_task(together(impostor, MEETING, SILENCE, greet_all))
        with capture_logs() as logs, pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await together(parties[0], MEETING, SILENCE, greet_all)
        meeting.cancel()

    assert any("not a signature" in each.get("reason", "") for each in logs)


async def test_seats_that_were_shown_different_candidates_notice():
    """The coordinator signed two lists: no coin is drawn over either."""
    async with three_parties(Relay()) as parties:
        other = replace(MEETING, context="cd" * 32)
        meeting = asyncio.create_task(together(parties[2], other, SILENCE, greet_all))
        with pytest.raises(WrongContext, match="west was shown cdcdcdcd"):
            await together(parties[0], MEETING, SILENCE, greet_all)
        meeting.cancel()


async def test_a_seat_that_is_done_hears_another_knock():
    async with three_parties(Relay()) as parties:
        knocking = asyncio.create_task(knock(parties[0], MEETING))
        meeting = asyncio.create_task(together(parties[2], MEETING, SILENCE, greet_all))
        async with asyncio.timeout(5):
            name = await knocking
        meeting.cancel()

    assert name == "west"
