"""All that CrypTen says to its other party arrives there, and nothing but words is said."""

from functools import partial

import pytest

from privacy.errors import InternalError, MalformedMessage
from privacy.mpc.communicator import TwoSeats
from privacy.mpc.messages import Channel
from tests.privacy.mpc.trio import at_once, three_links

torch = pytest.importorskip("torch")
ONE = torch.tensor([[1, -2], [3, 2**63 - 1]])
OTHER = torch.tensor([[5, 7], [-(2**63), 1]])
OWN = (ONE, OTHER)
BXOR = torch.distributed.ReduceOp.BXOR


@pytest.fixture
def seats():
    links = three_links()
    return [
        TwoSeats(torch, Channel(links[seat], seat, 1 - seat, bytes(32)), seat) for seat in range(2)
    ]


def both(seats, call):
    """What `call(communicator, own tensor, seat)` returns at either seat."""
    outcomes = at_once(*[partial(call, seats[at], OWN[at].clone(), at) for at in range(2)])
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return outcomes


def test_there_are_two(seats):
    """The dealer is no party of CrypTen's."""
    assert [(each.get_rank(), each.get_world_size()) for each in seats] == [(0, 2), (1, 2)]
    assert seats[1].get_name() == "seat 1"


def test_a_sum_and_an_xor_are_the_same_at_both(seats):
    """With `op` as CrypTen names it; sums wrap."""
    for op, expected in ((None, ONE + OTHER), (BXOR, ONE ^ OTHER)):
        results = both(seats, lambda each, own, _, op=op: each.all_reduce(own, op=op))

        assert all(torch.equal(result, expected) for result in results)


def test_several_tensors_are_joined_in_one_message(seats):
    """An AND opens two tensors; they take one message, not two."""
    lists = both(seats, lambda each, own, _: each.all_reduce([own, own[0]], BXOR, batched=True))

    for first, second in lists:
        assert torch.equal(first, ONE ^ OTHER)
        assert torch.equal(second, (ONE ^ OTHER)[0])
    assert seats[0]._channel._sent == 1


@pytest.mark.parametrize("to", range(2))
def test_a_reduction_ends_at_one_seat(seats, to):
    """The other learns nothing."""
    results = both(seats, lambda each, own, _: each.reduce(own, to))
    lists = both(seats, lambda each, own, _: each.reduce([own, own], to, batched=True))

    assert torch.equal(results[to], ONE + OTHER)
    assert torch.equal(lists[to][1], ONE + OTHER)
    assert results[1 - to] is None
    assert lists[1 - to] is None


@pytest.mark.parametrize("to", range(2))
def test_gathering_keeps_the_order_of_seats(seats, to):
    """Whoever gathers."""
    everywhere = both(seats, lambda each, own, _: each.all_gather(own))
    gathered = both(seats, lambda each, own, _: each.gather(own, to))

    for one, other in (*everywhere, gathered[to]):
        assert torch.equal(one, ONE)
        assert torch.equal(other, OTHER)
    assert gathered[1 - to] == [None]


@pytest.mark.parametrize("source", range(2))
def test_scattering_and_broadcasting_come_from_one_seat(seats, source):
    """The other's own tensors do not count."""
    scattered = both(seats, lambda each, own, _: each.scatter([own, own * 2], source))
    told = both(seats, lambda each, own, _: each.broadcast(own, source))
    several = both(seats, lambda each, own, _: each.broadcast([own, own[0]], source, True))

    assert torch.equal(scattered[0], OWN[source])
    assert torch.equal(scattered[1], OWN[source] * 2)
    assert all(torch.equal(each, OWN[source]) for each in told)
    assert all(torch.equal(each[1], OWN[source][0]) for each in several)


def test_who_sends_is_received_by_the_other(seats):
    """At once, or when it is waited for."""

    def swap(each, own, seat):
        sending = each.isend(own, 1 - seat)
        room = torch.zeros_like(own)
        receiving = each.irecv(room, src=1 - seat)
        sending.wait()
        assert not receiving.is_completed()
        receiving.wait()
        receiving.wait()
        each.barrier()
        each.send(own, 1 - seat)
        return room, each.recv(own)

    results = both(seats, swap)

    for seat, received in enumerate(results):
        assert all(torch.equal(each, OWN[1 - seat]) for each in received)


@pytest.mark.parametrize("method", ["send_obj", "recv_obj", "broadcast_obj"])
def test_objects_are_refused(seats, method):
    """They would travel as pickle."""
    with pytest.raises(InternalError):
        getattr(seats[0], method)({"a": 1}, 1)


@pytest.mark.parametrize("method", ["initialize", "shutdown"])
def test_crypten_neither_starts_nor_stops_it(method):
    """A session does."""
    with pytest.raises(InternalError):
        getattr(TwoSeats, method)(0, 2)


@pytest.mark.parametrize("seat", [0, 2])
def test_nothing_goes_to_or_comes_from_a_seat_that_takes_no_part(seats, seat):
    """Nor to oneself."""
    with pytest.raises(InternalError):
        seats[0].send(ONE, seat)
    with pytest.raises(InternalError):
        seats[0].recv(ONE, seat)


@pytest.mark.parametrize("kind", [torch.float32, torch.int32, torch.bool])
def test_other_than_words_do_not_travel(seats, kind):
    """A header says 64-bit words, so they are."""
    with pytest.raises(InternalError):
        seats[0].send(torch.zeros(3, dtype=kind), 1)


def test_an_operation_that_nothing_needs_is_refused(seats):
    """A maximum of shares means nothing."""
    with pytest.raises(InternalError):
        seats[0].all_reduce(ONE, op=torch.distributed.ReduceOp.MAX)


def test_seats_that_compute_different_things_notice(seats):
    """A tensor of another size is not what comes next."""
    outcomes = at_once(partial(seats[0].all_reduce, ONE), partial(seats[1].all_reduce, ONE[0]))

    assert all(isinstance(outcome, MalformedMessage) for outcome in outcomes)


def test_a_tensor_that_does_not_lie_in_order_arrives_as_it_reads(seats):
    """Transposed, or every second column."""
    results = both(seats, lambda each, own, _: each.all_gather(own.T[::2]))

    assert torch.equal(results[0][1], OTHER.T[::2])
