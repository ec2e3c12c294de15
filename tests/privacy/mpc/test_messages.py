"""A message is the one that comes next, or it is refused."""

import numpy as np
import pytest

from privacy.errors import InternalError, MalformedMessage
from privacy.mpc.messages import LARGEST_MESSAGE, Channel, Frame
from tests.privacy.mpc.trio import three_links

SESSION = bytes(range(32))
WORDS = np.arange(6, dtype=np.uint64).reshape(2, 3) + np.uint64(2**63)


@pytest.fixture
def links():
    return three_links()


@pytest.fixture
def sender(links):
    return Channel(links[0], 0, 1, SESSION)


@pytest.fixture
def receiver(links):
    return Channel(links[1], 1, 0, SESSION)


def taken(links):
    """The message that is under way from seat 0 to seat 1, taken off the link."""
    return links[1].receive(0)


def test_words_arrive_as_they_were(sender, receiver):
    """All 64 bits of them, in their shape."""
    for words in (WORDS, WORDS[0, 0], WORDS[:, :0]):
        sender.send(words)

        received = receiver.receive(words.shape)

        assert received.dtype == np.uint64
        assert np.array_equal(received, words)


def test_a_message_is_its_header_and_words_and_nothing_else(links, sender):
    """Written out by hand, as the docstring has it."""
    sender.send(np.array([[1, 2**63]], np.uint64))

    expected = b"VSMP" + bytes([0, 1, 0, 1, 0, 0, 0, 0]) + SESSION
    expected += bytes([1, 2, 0, 0, 0, 1, 0, 0, 0, 2])
    expected += bytes([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128])
    assert taken(links) == expected


def test_a_repeated_message_is_refused(links, sender, receiver):
    """It would be taken for what comes next."""
    sender.send(WORDS)
    body = taken(links)
    links[0].send(1, body)
    links[0].send(1, body)
    receiver.receive(WORDS.shape)

    with pytest.raises(MalformedMessage, match="not message 1 of this question"):
        receiver.receive(WORDS.shape)


def test_messages_in_another_order_are_refused(links, sender, receiver):
    """Each has its number."""
    sender.send(WORDS)
    sender.send(WORDS)
    first, second = taken(links), taken(links)
    links[0].send(1, second)
    links[0].send(1, first)

    with pytest.raises(MalformedMessage):
        receiver.receive(WORDS.shape)


def test_a_message_of_another_question_is_refused(links, receiver):
    """Also of the same question, asked before: nonces make its session another."""
    Channel(links[0], 0, 1, bytes(32)).send(WORDS)

    with pytest.raises(MalformedMessage):
        receiver.receive(WORDS.shape)


@pytest.mark.parametrize(("seat", "other"), [(2, 1), (1, 0), (0, 2)])
def test_a_message_between_others_is_refused(links, receiver, seat, other):
    """From a third seat, to one, or one's own come back."""
    frame = Frame(seat, other, 0, SESSION, WORDS.shape)
    links[0].send(1, frame.header() + WORDS.astype("<u8").tobytes())

    with pytest.raises(MalformedMessage):
        receiver.receive(WORDS.shape)


@pytest.mark.parametrize("shape", [(3, 2), (6,), (2, 3, 1), (2, 2), ()])
def test_a_message_of_another_shape_is_refused(sender, receiver, shape):
    """Even where the number of words is the same."""
    sender.send(WORDS)

    with pytest.raises(MalformedMessage):
        receiver.receive(shape)


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b""])
def test_a_message_of_another_length_is_refused(links, sender, receiver, change):
    """Nothing is read before the length is right."""
    sender.send(WORDS)
    links[0].send(1, change(taken(links)))

    with pytest.raises(MalformedMessage):
        receiver.receive(WORDS.shape)


def test_each_byte_of_the_header_counts(links):
    """A flipped bit anywhere before the words is refused."""
    body = Frame(0, 1, 0, SESSION, WORDS.shape).header() + WORDS.astype("<u8").tobytes()
    for at in range(len(body) - 8 * WORDS.size):
        changed = bytearray(body)
        changed[at] ^= 1
        links[0].send(1, bytes(changed))

        with pytest.raises(MalformedMessage):
            Channel(links[1], 1, 0, SESSION).receive(WORDS.shape)


def test_a_message_that_is_too_long_is_not_sent(sender):
    """A mebibyte, as for all that travels."""
    with pytest.raises(InternalError):
        sender.send(np.zeros(LARGEST_MESSAGE + 1, np.uint64))
