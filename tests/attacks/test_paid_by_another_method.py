"""A coordinator commits to payouts that favour a friend; every sum and every formula is right.

The contract judges what is paid for a score, and no score. Of four sites that have agreed to
`alignment/1` the friend, delta, has an update that goes nowhere: its alignment is 0. Each attack is
tried without the check of scores first, where it passes, and is found with it.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from coordinator.settling.settle import Result, Salts, Statement, statement
from participant.auditing import disputing
from participant.auditing.disputing import Desk
from participant.sending.outbox import Outbox
from participant.settling import own_rounds
from participant.settling.check import Offer, require_earned
from participant.settling.dossier import Standing
from participant.settling.own_rounds import OwnRounds
from participant.settling.payout import Payouts
from participant.settling.scored import Scored
from participant.view import Payout
from participant.wire.seat_calls import SeatCalls
from privacy import canonical
from privacy.contribution.scores import Method, weights
from privacy.documents import Signed
from privacy.errors import NotYet
from privacy.records import Scores
from privacy.settlement.commitment import Commit, cohort_of
from privacy.settlement.payouts import Entitlement, check
from tests.participant import auditor_at_work as work
from tests.participant import signed_round as made
from tests.participant.auditing.committed_round import (
    DOMAIN,
    HONEST,
    MODEL,
    PLAN,
    ROUND,
    Shown,
    Trees,
    released,
    scored,
)
from tests.participant.auditing.test_disputing import settings
from tests.participant.settling import test_own_rounds as sites

FRIEND = "delta"
ALIGNMENTS = {"amber": 30, "birch": 40, "cedar": 30, FRIEND: 0}
SIGNED = scored(**ALIGNMENTS)
NAMES = made.TRAINERS
BUDGET = 1000
OUTSIDER = "0x" + "fe" * 20
"""An address of the friend's that no roster has."""

Weights = dict[str, int]


def by(method: Method) -> Weights:
    """What the scores come to, by address."""
    found = weights(method, NAMES, canonical.decode(SIGNED.body, Scores))
    return {made.payout_address(name): weight for name, weight in found.items()}


def moved(weight: int, to: str, taken_from: str = "") -> Weights:
    """The right weights, but for something that the friend is given."""
    found = by(Method.ALIGNMENT)
    found[to] = found.get(to, 0) + weight
    if taken_from:
        found[made.payout_address(taken_from)] -= weight
    return found


HONESTLY = by(Method.ALIGNMENT)
ATTACKS = {
    "another method": by(Method.PARTICIPATION),
    "more for a friend": moved(50, made.payout_address(FRIEND)),
    "an outsider": moved(50, OUTSIDER),
    "nothing for anybody": dict.fromkeys(HONESTLY, 0),
}
SHIFTED = moved(20, made.payout_address(FRIEND), taken_from="birch")


def committed(of: Weights) -> Statement:
    """What a coordinator states that pays by these weights, each leaf by the contract's formula."""
    cohort = cohort_of(ROUND.cohort.entries, NAMES)
    result = Result(1, PLAN.digest(), ROUND.sum.root, MODEL, cohort, bytes.fromhex(HONEST))
    salts = {payee: Salts(bytes([at]) * 32, bytes([100 + at]) * 32) for at, payee in enumerate(of)}
    return statement(DOMAIN, None, result, BUDGET, of, salts)


class Coordinator(sites.Coordinator):
    """Shows a site the leaf that it has committed to."""

    made: Statement
    site: str

    async def payout(self, number: int = 0) -> Payout:
        mine = made.payout_address(self.site)
        of_site = [each for each in self.made.entitlements if each.payee == mine]
        shown = canonical.encode(of_site[0]) if of_site[0].amount() else b""
        return Payout(shown, DOMAIN.contract, 1, canonical.encode(self.made.commit))


def by_the_formula(_: Payouts, payout: Payout) -> None:
    """All that a contract, or the check of a payout, says of a leaf."""
    one = canonical.decode(payout.entitlement, Entitlement)
    commit = canonical.decode(payout.commit, Commit)
    check(one, bytes.fromhex(commit.payouts))
    require_earned(Offer(one, commit))


@pytest.fixture(autouse=True)
def shows_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The coordinator cannot change what openers have signed, and shows it."""

    async def scores(calls: SeatCalls, number: int) -> Signed:
        return SIGNED

    monkeypatch.setattr(SeatCalls, "scores", scores)
    monkeypatch.setattr(SeatCalls, "__post_init__", lambda _: None)
    monkeypatch.setattr(Payouts, "check", by_the_formula)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give what takes the check of scores away."""

    async def nothing(*_: Any) -> str:
        return ""

    return lambda: monkeypatch.setattr(Scored, "fault", nothing)


def seen_by(name: str, folder: Path, of: Weights, monkeypatch: pytest.MonkeyPatch) -> Standing:
    """What a site says of the commit, once it has looked at all of it."""
    stated, folder = committed(of), folder / name
    folder.mkdir(exist_ok=True)
    outbox = Outbox(folder / "outbox", 1)
    chunks = outbox.start()
    for at, payload in enumerate(ROUND.payloads(name)):
        (chunks / f"{at:08d}").write_bytes(payload)
    outbox.finish(ROUND.headers[NAMES.index(name)], ())
    shown = Coordinator()
    shown.shows(ROUND)
    shown.releases[1], shown.made, shown.site = released(), stated, name
    config = sites.config(folder, Method.ALIGNMENT)
    config.participant = name
    config.settlement = changed(config.settlement, payee=made.payout_address(name))
    chain = sites.Chain(stated.commit)
    told = sites.Told(Trees(), slot=NAMES.index(name))
    told.said = stated.commit
    rounds = OwnRounds(config, Payouts(config), clock=lambda: chain.now)
    rounds._programme = chain  # type: ignore[assignment]
    monkeypatch.setattr(own_rounds, "Commits", lambda _: told)
    versions: Any = SimpleNamespace(under=sites._under)
    asyncio.run(rounds.look(shown, versions))  # type: ignore[arg-type]
    found = rounds.dossiers.of(1)
    assert found is not None
    return found.standing


def seen_by_all(folder: Path, of: Weights, monkeypatch: pytest.MonkeyPatch) -> dict[str, Standing]:
    return {name: seen_by(name, folder, of, monkeypatch) for name in NAMES}


def seen_by_auditor(folder: Path, of: Weights, monkeypatch: pytest.MonkeyPatch) -> Standing:
    """What `veilsum audit sum` says of the commit."""
    stated, shown = committed(of), work.Audited()
    shown.audits(ROUND)
    shown.releases[1] = released()
    chain = sites.Chain(stated.commit)
    monkeypatch.setattr(disputing, "Commits", lambda _: Silent(Trees()))
    desk = Desk(
        settings(folder, method=Method.ALIGNMENT),
        shown,  # type: ignore[arg-type]
        [made.roster()],
        work.NoPatience(),
        chain,  # type: ignore[arg-type]
    )
    return asyncio.run(desk.look(1)).standing


class Silent(Shown):
    async def commit(self, number: int) -> Commit:
        raise NotYet("it is on the chain")


@pytest.mark.parametrize("attack", ATTACKS)
def test_pay_by_other_scores_is_found_by_every_site_and_by_the_auditor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked: Any, attack: str
) -> None:
    """Somebody's part grows with what is divided by: the sum of all scores is another one."""
    of = ATTACKS[attack]

    found = seen_by_all(tmp_path, of, monkeypatch)
    audited = seen_by_auditor(tmp_path, of, monkeypatch)

    assert {*found.values(), audited} == {Standing.UNPROVED}
    unchecked()
    for name in NAMES:
        _forget(tmp_path / name)
    assert set(seen_by_all(tmp_path, of, monkeypatch).values()) == {Standing.SOUND}
    assert seen_by_auditor(tmp_path, of, monkeypatch) is Standing.SOUND


def test_score_that_is_shifted_under_the_same_sum_is_found_by_who_loses_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked: Any
) -> None:
    """The auditor is shown no leaf, and other sites are shown none but their own."""
    found = seen_by_all(tmp_path, SHIFTED, monkeypatch)
    audited = seen_by_auditor(tmp_path, SHIFTED, monkeypatch)

    assert {name for name in NAMES if found[name] is Standing.UNPROVED} == {"birch", FRIEND}
    assert audited is Standing.SOUND
    unchecked()
    _forget(tmp_path / "birch")
    assert seen_by("birch", tmp_path, SHIFTED, monkeypatch) is Standing.SOUND


def test_who_pays_what_was_agreed_is_accused_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The honest coordinator; the friend earns nothing, and says nothing."""
    found = seen_by_all(tmp_path, HONESTLY, monkeypatch)

    assert set(found.values()) == {Standing.SOUND}
    assert seen_by_auditor(tmp_path, HONESTLY, monkeypatch) is Standing.SOUND


def _forget(folder: Path) -> None:
    """Let a site look again as if it had not looked."""
    with suppress(FileNotFoundError):
        (folder / "dossiers" / "000001.json").unlink()
