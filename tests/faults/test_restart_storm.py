"""A coordinator that starts again under many members: all come back, and not in step.

One real coordinator, killed; its members are clients in the test's process, which
do what a site does between two tasks: join, and watch the rounds.
"""

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import structlog

from participant.config import read
from participant.joining.found import found
from participant.keys import load_keys
from participant.wire.connect import connect
from participant.wire.coordinator import Coordinator
from participant.wire.patience import Patience
from privacy.errors import Unavailable
from tests.processes.federation import Federation, federation

pytestmark = [pytest.mark.deep, pytest.mark.timeout(300)]

MEMBERS = tuple(f"site-{number:02}" for number in range(36))
BACK_SECONDS = 30.0
WATCH_SECONDS = 2.0


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Each of them says that it waits."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


@dataclass
class Client:
    """One member that has nothing to do."""

    name: str
    coordinator: Coordinator
    answered: list[float] = field(default_factory=list)
    tried: list[float] = field(default_factory=list)
    """When a call was made that brought no answer."""

    async def live(self, made: Federation) -> None:
        """Join, and watch the rounds for ever."""
        home, patience = made.places.site(self.name), Patience(os.urandom)
        keys, joined, seen = load_keys(home / "keys"), False, 0
        while True:
            began = time.monotonic()
            try:
                if not joined:
                    await found(self.coordinator, keys, self.name, made.roster.digest(), home)
                    joined = True
                seen = (await self.coordinator.watch(seen, (), WATCH_SECONDS)).revision
                self.answered.append(time.monotonic())
                patience.reset()
            except Unavailable as error:
                self.tried.append(began)
                await patience.wait(error)

    def back(self, since: float) -> float | None:
        """Return when the first answer came since a moment, in seconds from it."""
        return next((each - since for each in self.answered if each > since), None)


@contextmanager
def clients(made: Federation) -> Iterator[list[Client]]:
    """Give all members, alive on a loop of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    living: list[Future[None]] = []

    async def make() -> list[Client]:
        files = {name: made.places.site(name) for name in MEMBERS}
        return [
            Client(name, connect(read(home / "site.toml").coordinator, load_keys(home / "keys")))
            for name, home in files.items()
        ]

    async def close(every: list[Client]) -> None:
        await asyncio.gather(*(each.coordinator.close() for each in every))

    every = asyncio.run_coroutine_threadsafe(make(), loop).result()
    try:
        living = [asyncio.run_coroutine_threadsafe(each.live(made), loop) for each in every]
        yield every
    finally:
        for each in living:
            each.cancel()
        asyncio.run_coroutine_threadsafe(close(every), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def all_back(every: Sequence[Client], since: float) -> bool:
    """Return whether each has had an answer since a moment."""
    return all(each.back(since) is not None for each in every)


def crowd(moments: list[float], seconds: float) -> int:
    """Return how many of these moments lie within so short a time, at most."""
    return max(sum(start <= each < start + seconds for each in moments) for start in moments)


@pytest.mark.parametrize("restarts", [1, pytest.param(5, marks=pytest.mark.deep)])
def test_all_are_back_within_thirty_seconds_and_not_at_once(tmp_path: Path, restarts: int) -> None:
    """Each waits for a time that chance has shortened, so that no instant has to serve them all."""
    with federation(tmp_path, MEMBERS) as made:
        made.start_coordinator()
        with clients(made) as every:
            made.wait_for("all to watch", lambda: all(each.answered for each in every))
            for _ in range(restarts):
                made.kill("coordinator")
                gone = time.monotonic()
                time.sleep(2)
                made.start_coordinator()
                began = time.monotonic()
                made.wait_for("all to be back", partial(all_back, every, began))

                back = [each.back(began) or 0.0 for each in every]
                asked = [each for one in every for each in one.tried if gone + 1 < each < began]
                print(
                    f"first {min(back):.2f} s, last {max(back):.2f} s; tries {len(asked)}, "
                    f"of which {crowd(asked, 0.1)} within 0.1 s"
                )
                assert max(back) <= BACK_SECONDS
                assert crowd(asked, 0.1) <= len(asked) / 2
