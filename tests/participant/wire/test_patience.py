"""An agent that waits asks less and less often, not in step with others, and says why once."""

import pytest

from participant.wire import patience as module
from participant.wire.patience import Patience
from privacy.errors import PeerUnreachable

GONE = PeerUnreachable("nobody listens")
NO_CHANCE = b"\xff" * 4
"""The draw that shortens a wait least."""


@pytest.fixture
def waits(monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    return slept


@pytest.fixture
def lines(monkeypatch):
    said = []
    monkeypatch.setattr(module.log, "warning", lambda event, **more: said.append((event, more)))
    return said


async def test_each_wait_is_twice_as_long_up_to_a_limit(waits):
    """Nor so long that a site which comes back misses the round."""
    patience = Patience(lambda size: NO_CHANCE)

    for _ in range(8):
        await patience.wait(GONE)

    assert waits == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 1])


async def test_chance_shortens_a_wait_to_no_less_than_half(waits):
    """Sites that lost their coordinator together do not come back together."""
    draws = iter([bytes(4), b"\x80\0\0\0", NO_CHANCE])
    patience = Patience(lambda size: next(draws))

    for _ in range(3):
        await patience.wait(GONE)
        patience.reset()

    assert waits == pytest.approx([0.25, 0.375, 0.5])


async def test_what_works_again_begins_with_the_shortest_wait(waits):
    """An outage of last night does not slow down the next one."""
    patience = Patience(lambda size: NO_CHANCE)
    for _ in range(5):
        await patience.wait(GONE)

    patience.reset()
    await patience.wait(GONE)

    assert waits[-1] == pytest.approx(0.5)


async def test_one_reason_is_one_line(waits, lines):
    """A new reason is a new line; so is an old one, after things have worked."""
    patience = Patience(lambda size: NO_CHANCE)
    for error in (GONE, GONE, PeerUnreachable("certificate expired"), GONE):
        await patience.wait(error)
    patience.reset()
    await patience.wait(GONE)

    reasons = [more["reason"] for _, more in lines]
    assert reasons == ["nobody listens", "certificate expired", "nobody listens", "nobody listens"]
    assert len(waits) == 5


async def test_a_wait_is_called_what_it_is(waits, lines):
    """Not every wait is for the coordinator."""
    patience = Patience(lambda size: NO_CHANCE, "will_retry", {"task": "Open", "round": 3})

    await patience.wait(GONE)
    await Patience(lambda size: NO_CHANCE).wait(GONE)

    assert lines == [
        ("will_retry", {"task": "Open", "round": 3, "reason": "nobody listens"}),
        ("waiting_for_coordinator", {"reason": "nobody listens"}),
    ]
