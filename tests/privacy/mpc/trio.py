"""Three seats, each a process that answers questions one after the other, over pipes.

CrypTen keeps one communicator for a process, so seats 0 and 1 need one each. What is sent to a
process is the test's own; between seats go the messages of the product and nothing else.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from privacy.mpc.link import Seat
from privacy.schemes.shares.layout import SEATS, held_by
from privacy.schemes.shares.replicated import PairSecrets

SPAWN = get_context("spawn")


def unrecorded() -> None:
    """Shares may leave as often as a test asks."""


def pair_secrets() -> list[PairSecrets]:
    """Fresh secrets between every two of three seats."""
    secrets = [os.urandom(32) for _ in range(SEATS)]
    return [
        PairSecrets(seat, (secrets[held_by(seat)[0]], secrets[held_by(seat)[1]]))
        for seat in range(SEATS)
    ]


def shared(values):
    """Three additive shares of words, shape (3, ...)."""
    values = np.asarray(values, np.uint64)
    shares = np.frombuffer(os.urandom(16 * values.size), np.uint64).reshape(2, *values.shape)
    return np.stack([*shares, values - shares[0] - shares[1]])


@dataclass
class PipeLink:
    """A link over one pipe to each other seat, that counts; a thread does the writing."""

    pipes: dict[int, Connection]
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    received: list[tuple[int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._waiting: SimpleQueue[tuple[int, bytes]] = SimpleQueue()
        Thread(target=self._write, daemon=True).start()

    def send(self, to_seat: int, body: bytes) -> None:
        self.sent.append((to_seat, body))
        self._waiting.put((to_seat, body))

    def receive(self, from_seat: int) -> bytes:
        body = self.pipes[from_seat].recv_bytes()
        self.received.append((from_seat, body))
        return body

    def _write(self) -> None:
        while True:
            to_seat, body = self._waiting.get()
            self.pipes[to_seat].send_bytes(body)


@dataclass(frozen=True)
class Report:
    """What one seat returned, and all that it sent and received."""

    result: Any
    sent: list[tuple[int, bytes]]
    received: list[tuple[int, bytes]]


class Trio:
    """The three processes."""

    def __init__(self, orders: list[Connection]) -> None:
        self._orders = orders

    def ask(self, function: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> list[Report]:
        """Run `function(seat, *arguments of the seat)` at each seat, at the same time."""
        for order, each in zip(self._orders, arguments, strict=True):
            order.send((function, each))
        reports = [order.recv() for order in self._orders]
        for report in reports:
            if isinstance(report, Exception):
                raise report
        return reports

    def drain(self) -> None:
        """Take off the pipes what a question that failed has left there."""
        self.ask(_drain, [(), (), ()])

    def shares(self, function: Callable[..., Any], values: Any, *others: Any) -> list[Report]:
        """Run a question about values, of which each seat has a share."""
        shares = shared(values)
        return self.ask(function, [(shares[seat], *others) for seat in range(SEATS)])


@contextmanager
def three_processes() -> Iterator[Trio]:
    """Start three seats; end them."""
    pipes: list[dict[int, Connection]] = [{}, {}, {}]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        pipes[one][other], pipes[other][one] = SPAWN.Pipe()
    orders = [SPAWN.Pipe() for _ in range(SEATS)]
    processes = [
        SPAWN.Process(target=_serve, args=(orders[seat][1], pipes[seat], pairs), daemon=True)
        for seat, pairs in enumerate(pair_secrets())
    ]
    for process in processes:
        process.start()
    try:
        yield Trio([ours for ours, _ in orders])
    finally:
        for process in processes:
            process.kill()
            process.join()


def _drain(seat: Seat) -> None:
    for pipe in seat.link.pipes.values():  # type: ignore[attr-defined]
        while pipe.poll(0.3):
            pipe.recv_bytes()


def _serve(orders: Connection, pipes: dict[int, Connection], pairs: PairSecrets) -> None:
    link = PipeLink(pipes)
    seat = Seat(link, pairs, os.urandom, unrecorded)
    while True:
        function, arguments = orders.recv()
        link.sent.clear()
        link.received.clear()
        try:
            result = function(seat, *arguments)
            orders.send(Report(result, list(link.sent), list(link.received)))
        except Exception as error:
            orders.send(error)


@dataclass
class QueueLink:
    """A link between threads of one process."""

    seat: int
    queues: dict[tuple[int, int], SimpleQueue[bytes]]

    def send(self, to_seat: int, body: bytes) -> None:
        self.queues[self.seat, to_seat].put(body)

    def receive(self, from_seat: int) -> bytes:
        return self.queues[from_seat, self.seat].get(timeout=5)


def three_links() -> list[QueueLink]:
    """Links between three seats in threads."""
    queues: dict[tuple[int, int], SimpleQueue[bytes]] = {
        (one, other): SimpleQueue() for one in range(SEATS) for other in range(SEATS)
    }
    return [QueueLink(seat, queues) for seat in range(SEATS)]


def three_seats() -> list[Seat]:
    """Three seats in threads; enough for whatever does without CrypTen."""
    links = three_links()
    return [Seat(links[pairs.seat], pairs, os.urandom, unrecorded) for pairs in pair_secrets()]


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run calls in threads; return what each returned, or the error that it raised."""
    with ThreadPoolExecutor(len(calls)) as threads:
        futures = [threads.submit(call) for call in calls]
        return [future.exception() or future.result() for future in futures]
