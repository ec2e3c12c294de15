"""After a greeting every two seats have words in common that nobody had before."""

from dataclasses import replace
from functools import partial
from itertools import permutations

import numpy as np
import pytest

from privacy.errors import MalformedMessage
from privacy.mpc.greeting import greet
from privacy.schemes.keystream import Use
from tests.privacy.mpc.trio import at_once, three_seats

QUESTION = b"norms of round 7"


def greetings(seats, questions=(QUESTION,) * 3):
    return at_once(*[partial(greet, *each) for each in zip(seats, questions, strict=True)])


def words(pairs, seat, other):
    return tuple(pairs[seat][other].draws(Use.MPC_ZERO).take((4,)))


def test_two_seats_have_the_same_words_and_the_third_others():
    """One stream a pair, known to the two."""
    pairs = greetings(three_seats())

    streams = {frozenset(two): words(pairs, *two) for two in permutations(range(3), 2)}

    assert all(words(pairs, *two) == streams[frozenset(two)] for two in permutations(range(3), 2))
    assert len(set(streams.values())) == 3


@pytest.mark.parametrize("seat", range(3))
def test_one_fresh_nonce_is_enough_for_fresh_words(seat):
    """A seat that repeats its own cannot make another use a mask twice."""
    seats = three_seats()
    stuck = [each if each.number == seat else replace(each, entropy=bytes) for each in seats]
    first, second = greetings(stuck), greetings(stuck)

    for other in {0, 1, 2} - {seat}:
        assert words(first, seat, other) != words(second, seat, other)
    one, two = {0, 1, 2} - {seat}
    assert words(first, one, two) == words(second, one, two), "the control: neither is fresh"


def test_uses_have_streams_of_their_own():
    """A mask is not a triple."""
    pair = greetings(three_seats())[0][1]

    drawn = [
        tuple(stream.take((2,)))
        for stream in (
            pair.draws(Use.MPC_ZERO),
            pair.draws(Use.MPC_TRIPLES),
            pair.draws(Use.MPC_RING, b"\0"),
            pair.draws(Use.MPC_RING, b"\1"),
        )
    ]

    assert len(set(drawn)) == 4


def test_seats_that_ask_different_things_refuse_each_other():
    """Before anything is sent that depends on a value."""
    outcomes = greetings(three_seats(), [QUESTION, QUESTION, b"scores of round 7"])

    assert all(isinstance(outcome, MalformedMessage) for outcome in outcomes)


def test_seats_without_a_common_secret_have_nothing_in_common():
    """The nonces travel; what hides is the secret."""
    seats = three_seats()
    strangers = three_seats()
    mixed = [seats[0], *(replace(seats[at], pairs=strangers[at].pairs) for at in (1, 2))]

    pairs = greetings(mixed)

    assert words(pairs, 0, 1) != words(pairs, 1, 0)
    assert words(pairs, 1, 2) == words(pairs, 2, 1)


def test_a_greeting_says_a_nonce_and_the_question():
    """64 bytes of header, 32 of nonce; no word of a secret."""
    seats = three_seats()
    sent = []
    seats[0].link.send = lambda to_seat, body: sent.append((to_seat, body))  # type: ignore[method-assign]
    seats[0].link.receive = lambda from_seat: b""  # type: ignore[method-assign]

    with pytest.raises(MalformedMessage):
        greet(replace(seats[0], entropy=lambda count: b"\7" * count), QUESTION)

    assert [to_seat for to_seat, _ in sent] == [1, 2]
    assert all(body.endswith(b"\7" * 32) and len(body) == 82 for _, body in sent)
    assert np.frombuffer(sent[0][1][-32:], np.uint8).max() == 7
