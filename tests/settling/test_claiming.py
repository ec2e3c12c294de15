"""A claim by hand: with the coordinator, without it, too early, and of nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from participant.settling.own_rounds import OwnRounds
from participant.settling.payout import Paid, Payouts, Waits
from participant.view import Payout
from privacy.errors import NotYet
from veilsum.settling import claiming

SITE: Any = SimpleNamespace(state=Path("state"))
PAID = Paid("0xabc", "12", "0xdef", 21000, 3, 7)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the coordinator answers, and what the site's claims come to."""
    shown = SimpleNamespace(answer=Payout(b"{}", "", 1), found=PAID, done=[])

    async def answer(config: Any) -> Payout | None:
        return shown.answer

    def claim(self: Payouts, payout: Payout) -> Paid | Waits:
        shown.done.append("offered")
        return shown.found

    def claim_kept(self: Payouts) -> Paid | Waits:
        shown.done.append("kept")
        return shown.found

    monkeypatch.setattr(claiming, "_asked", answer)
    monkeypatch.setattr(Payouts, "claim", claim)
    monkeypatch.setattr(Payouts, "claim_kept", claim_kept)
    monkeypatch.setattr(OwnRounds, "sweep", lambda self: shown.done.append("swept"))
    return shown


def test_the_newest_offer_is_claimed(asked: SimpleNamespace) -> None:
    assert claiming.claim(SITE) == PAID
    assert asked.done == ["offered", "swept"]


def test_a_coordinator_that_is_gone_holds_up_nothing_it_has_offered(asked: SimpleNamespace) -> None:
    """It could otherwise keep what is owed by saying nothing."""
    asked.answer = None

    assert claiming.claim(SITE) == PAID
    assert asked.done == ["kept", "swept"]


def test_offline_nobody_is_asked(asked: SimpleNamespace) -> None:
    assert claiming.claim(SITE, offline=True) == PAID
    assert asked.done == ["kept", "swept"]


def test_a_site_that_has_earned_nothing_is_told(asked: SimpleNamespace) -> None:
    asked.answer = Payout(b"", "", 0)

    with pytest.raises(NotYet, match="earned nothing yet"):
        claiming.claim(SITE)


def test_a_round_that_is_open_is_said_with_its_time(asked: SimpleNamespace) -> None:
    """In UTC, for a calendar."""
    asked.found = Waits(7, "12", 1_800_000_000)

    with pytest.raises(NotYet, match=r"from 2027-01-15T08:00:00\+00:00 on"):
        claiming.claim(SITE)


async def test_a_coordinator_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is still what was kept."""
    closed = []

    async def payout() -> Payout:
        raise TimeoutError

    async def close() -> None:
        closed.append(True)

    silent = SimpleNamespace(payout=payout, close=close)
    monkeypatch.setattr(claiming, "connect", lambda where, keys: silent)
    monkeypatch.setattr(claiming, "load_keys", lambda folder: None)
    config = SimpleNamespace(coordinator=None, state=Path())

    assert await claiming._asked(config) is None
    assert closed


async def test_a_coordinator_that_says_not_yet_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def payout() -> Payout:
        raise NotYet("the programme is not settled yet")

    async def close() -> None:
        pass

    early = SimpleNamespace(payout=payout, close=close)
    monkeypatch.setattr(claiming, "connect", lambda where, keys: early)
    monkeypatch.setattr(claiming, "load_keys", lambda folder: None)

    with pytest.raises(NotYet, match="not settled yet"):
        await claiming._asked(SimpleNamespace(coordinator=None, state=Path()))
